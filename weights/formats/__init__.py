"""Files of named arrays: read and written without the framework whose files they are."""

from weights.formats.contents import Arrays, Contents, Format
from weights.formats.registry import FORMATS, format_of, read, write

__all__ = ["FORMATS", "Arrays", "Contents", "Format", "format_of", "read", "write"]
