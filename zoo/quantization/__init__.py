"""Networks of 8 bits: calibrated on images, with what it costs measured."""
