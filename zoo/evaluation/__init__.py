"""What a trained network does on images: accuracy, confusions, predictions."""
