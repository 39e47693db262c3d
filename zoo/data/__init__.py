"""Data sets from disk, and the input pipeline that feeds every framework alike."""
