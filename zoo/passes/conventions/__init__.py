"""Weights carried between graphs that are one function up to an order of channels."""

from zoo.passes.conventions.convert import (
    Order,
    convert_conventions,
    match_channels,
    match_weights,
)

__all__ = ["Order", "convert_conventions", "match_channels", "match_weights"]
