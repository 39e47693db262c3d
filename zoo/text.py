"""Structured text of others, read by one door: few bytes, few levels, few digits, plain numbers.

JSON of a stranger may nest until Python's stack ends, or hold a number whose digits take seconds.
Whatever is wrong is one `TextError`, a ValueError, which who asked tells as an error of its own.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 1 << 24
"""Of a text as a whole; the state of a run of thousands of epochs is below it."""
MAX_DIGITS = 19
"""Of a whole number: as many as 64 bits have."""


UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal or turns the direction of text, rather than being seen."""


class TextError(ValueError):
    """A text that is not what it should be."""


def parse(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        TextError: it is no JSON, not UTF-8, or larger or deeper than anything of ours.
    """
    if len(text) > MAX_BYTES:
        raise TextError(f"length (={len(text)}) must be at most {MAX_BYTES}")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_int=_whole)
    except TextError:
        raise
    except RecursionError:
        raise TextError("it must have fewer levels") from None
    except UnicodeDecodeError:
        raise TextError("it must be UTF-8") from None
    except ValueError as error:
        raise TextError(f"it must be JSON: {error}") from None


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return what a JSON object says.

    Raises:
        TextError: as `parse`, or it is another value.
    """
    found = parse(text)
    if not isinstance(found, dict):
        raise TextError(f"it must be a JSON object, not {type(found).__name__}")
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Return what the JSON object in a file says.

    Raises:
        TextError: as `parse_object`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return parse_object(file.read(MAX_BYTES + 1))


def read_numbers(path: Path) -> list[dict[str, float]]:
    """Return the rows of a CSV of numbers, without the fields that are empty.

    Raises:
        TextError: a field is no number, or a row is longer than the first.
        OSError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except UnicodeDecodeError:
        raise TextError("it must be UTF-8") from None
    except csv.Error as error:
        raise TextError(f"it must be CSV: {error}") from None


def visible(text: str) -> str:
    """Return a text of strangers with what would steer a terminal written out."""
    return UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def require(condition: bool, what: str, value: object, rule: str) -> None:
    """Raise `TextError` unless a value keeps a rule.

    Args:
        condition: whether it does.
        what: the value's name.
        value: it.
        rule: what it must be.
    """
    if not condition:
        _refuse(what, value, rule)


def whole(fields: dict[str, Any], name: str, least: int = 0) -> int:
    """Return a field that has to be a whole number of at least ``least``."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        _refuse(name, value, f"a whole number of at least {least}")
    return value


def numbers(fields: dict[str, Any], name: str, count: int) -> list[float]:
    """Return a field that has to be a list of so many numbers."""
    value = fields.get(name)
    if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
        _refuse(name, value, f"a list of {count} numbers")
    return [float(number) for number in value]


def texts(fields: dict[str, Any], name: str) -> list[str]:
    """Return a field that has to be a list of texts."""
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        _refuse(name, value, "a list of texts")
    return value


def rows(fields: dict[str, Any], name: str) -> list[dict[str, float]]:
    """Return a field that has to be a list of objects whose values are numbers."""
    value = fields.get(name)
    if not isinstance(value, list) or not all(
        isinstance(row, dict) and all(map(_is_number, row.values())) for row in value
    ):
        _refuse(name, value, "a list of objects of numbers")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise TextError(f"a number (={digits[:8]}…) must have at most {MAX_DIGITS} digits")
    return int(digits)


def _numbers(row: dict[str | Any, str | Any]) -> dict[str, float]:
    found = {}
    for key, value in row.items():
        if key is None or (isinstance(value, Iterable) and not isinstance(value, str)):
            raise TextError("a row is longer than the first")
        if value:
            try:
                found[key] = float(value)
            except ValueError:
                _refuse(key, value, "a number")
    return found


def _refuse(what: str, value: object, rule: str) -> NoReturn:
    shown = repr(value)
    raise TextError(f"{what} (={shown[:60]}{'…' if len(shown) > 60 else ''}) must be {rule}")
