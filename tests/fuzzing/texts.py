"""Changes of structured text that keep its structure: JSON, and lines of fields."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

HUGE = "9" * 25
VALUES = [
    None, True, False, 0, 1, -1, 2, 3, 16, 224, 1000, 20_000, 1 << 20, 1 << 31, -(1 << 63), 10**18,
    0.0, -0.0, 0.5, 1e-320, 1e300, float("nan"), float("inf"), -float("inf"), "", "a", "1", "true",
    "é", "\ud800", "\x00", "\x1b[2J", "[/x]", "../x", "/", "x" * 5000, [], [0], [[1]], [None], {},
    {"a": 1}, {"name": "a"}, {"": {}}, [[[[1, [2]]]]], [1] * 3, [4, 8, 16], ["a", 1, None, {}],
    list(range(2000)), [0.5, 0.5, 0.5],
]  # fmt: skip
RAW = [
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, HUGE, "-" + HUGE, "1e999", "01",
    "NaN", "-Infinity", "0" * 5000, "9" * 5000, "1.0", "1e2", "'a'", "nul", '"\\u12"', "[1,]",
]  # fmt: skip
"""Texts of values that no JSON writer would make; they are put in for a marked place."""
MARK = "\ufffe"


def structured(data: bytes, rng: random.Random) -> bytes | None:
    """Return a text changed by its structure, or None where it has none."""
    if data[:1] in (b"{", b"["):
        return _json(data, rng)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if text.isascii() and re.fullmatch(r"\w+=.*", text):
        name, _, value = text.partition("=")
        if rng.random() < 0.2:
            name = rng.choice(
                ("", "model", "self", name[:-1], "conventions", name + ".x", "x." + name)
            )
        found = _json(value.encode(), rng) or rng.choice(RAW).encode()
        return name.encode() + rng.choice((b"=", b"=", b"=", b"==", b"")) + found
    separator = next((s for s in (",", "\t") if s in text), None)
    return (
        _table(text, separator, rng) if separator and text.isprintable() | ("\n" in text) else None
    )


def _json(data: bytes, rng: random.Random) -> bytes | None:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        tree = _changed(tree, rng)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.8)
    if MARK in text or "\\ufffe" in text:
        text = re.sub(r'"(\ufffe|\\ufffe)"', lambda _: rng.choice(RAW), text)
    if rng.random() < 0.1:  # a key twice, the first with another value
        keys = list(re.finditer(r'"\w+": ', text))
        if keys:
            key = rng.choice(keys)
            text = f"{text[: key.start()]}{key[0]}{json.dumps(_value(rng))}, {text[key.start() :]}"
    if rng.random() < 0.05:
        text = rng.choice(("\ufeff", " " * 70_000, "//\n")) + text
    return text.encode("utf-8", "surrogatepass")


def _value(rng: random.Random) -> Any:
    return MARK if rng.random() < 0.15 else copy.deepcopy(rng.choice(VALUES))


def _changed(tree: Any, rng: random.Random) -> Any:
    """Return JSON's values with one of them changed, somewhere in their depth."""
    if isinstance(tree, dict | list) and tree and rng.random() < 0.85:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = rng.choice(keys)
        kind = rng.randrange(10)
        if kind == 0:
            del tree[key]
        elif kind == 1:
            other = rng.choice(keys)
            tree[key], tree[other] = tree[other], tree[key]
        elif kind == 2 and isinstance(tree, dict):
            new = rng.choice(
                (key[:-1], key + "s", key.upper(), "", "x", "name", "__class__", "\x1b")
            )
            tree = {new if name == key else name: value for name, value in tree.items()}
        elif kind == 3 and isinstance(tree, dict):
            tree[rng.choice(("x", "", "name", "version", "é", rng.choice(keys) + "_"))] = _value(
                rng
            )
        elif kind == 3:
            tree = tree * rng.choice((2, 3, 100)) if len(tree) < 100 else tree
        else:
            tree[key] = _changed(tree[key], rng)
        return tree
    if isinstance(tree, str) and tree[:1] in ("{", "[") and rng.random() < 0.8:  # JSON in JSON
        return (_json(tree.encode(), rng) or b"").decode("utf-8", "replace")
    if isinstance(tree, int | float) and not isinstance(tree, bool) and rng.random() < 0.5:
        return rng.choice((tree + 1, tree - 1, tree * 2, tree // 2, -tree, float(tree), str(tree),
                           tree * 1000, [tree], True, 10**18))  # fmt: skip
    if isinstance(tree, str) and tree and rng.random() < 0.5:
        at = rng.randrange(len(tree) + 1)
        return rng.choice((tree[:at], tree + tree, tree[:at] + "." + tree[at:], tree.upper(),
                           tree[:at] + "\x1b[31m" + tree[at:], [tree], {tree: tree}))  # fmt: skip
    if rng.random() < 0.2:
        return rng.choice(([tree], [tree, tree], {"a": tree}, [[tree]]))
    return _value(rng)


CELLS = (
    "", "0", "-1", "nan", "inf", "-inf", "1e999", "x", '"', '"a', "é", "\x00", "\r", HUGE, "٣",
    "１２",
    "1_0", " 1 ", "9" * 5000, "x" * 140_000, "\x1b[2J", "0x10", "1,2", "a\tb", "true", "None", "²",
)  # fmt: skip


def _table(text: str, separator: str, rng: random.Random) -> bytes:
    """Change one cell or one row, the first of which names the columns."""
    rows = [line.split(separator) for line in text.splitlines()] or [[""]]
    i = rng.randrange(len(rows)) if rng.random() < 0.7 else 0
    kind = rng.randrange(8)
    if kind == 0:
        del rows[i]
    elif kind == 1:
        rows.insert(i, rng.choice(rows))
    elif kind == 2:
        rows[i].append(rng.choice(CELLS))
    elif kind == 3:
        del rows[i][rng.randrange(len(rows[i]))]
    elif kind == 4:
        rows[i] = []
    else:
        rows[i][rng.randrange(len(rows[i]))] = rng.choice(CELLS)
    end = rng.choice(("\n", "\n", "\n", "\r\n", "\r"))
    return end.join(separator.join(row) for row in rows).encode() + end.encode()
