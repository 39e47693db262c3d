"""Einsums of two values as products of matrices between permutations."""

from __future__ import annotations

from zoo.adoption.program import UnknownError
from zoo.arch import Shape

Step = tuple[str, str, tuple[str, ...], Shape, tuple[int, ...]]
"""(end of its name, function, what it reads, its shape, dims of a permutation)."""


def steps(equation: str, names: tuple[str, ...], shapes: tuple[Shape, ...]) -> list[Step]:
    """Return the functions that an einsum is; the last has no end of a name.

    Raises:
        UnknownError: it is not one sum over one axis of products of two values.
    """
    read, _, out = equation.replace(" ", "").partition("->")
    labels = read.split(",")
    if len(labels) != 2 or not out or "." in equation:
        raise UnknownError(f"einsum: {equation} must name the axes of two values")
    a, b = labels
    sizes = {c: n for text, shape in zip(labels, shapes, strict=True)
             for c, n in zip(text, shape, strict=True)}  # fmt: skip
    batch = [c for c in out if c in a and c in b]
    summed = [c for c in a if c in b and c not in out]
    rows, columns = ([c for c in out if c in own and c not in other]
                     for own, other in ((a, b), (b, a)))  # fmt: skip
    parts = (batch, summed, rows, columns)
    if len({*a, *b}) != sum(map(len, parts)) or not len(summed) == len(columns) == 1 <= len(rows):
        raise UnknownError(f"einsum: {equation} must be a product of matrices")
    # What the first alone has stands before the matrices, where the second is broadcast.
    *before, row = rows
    if before and out[0] != before[0]:
        raise UnknownError(f"einsum: {equation} must keep the images in front")
    orders = [[*before, *batch, row, *summed], [*batch, *summed, *columns],
              [*before, *batch, row, *columns]]  # fmt: skip
    first, second, made = (tuple(sizes[c] for c in order) for order in orders)
    end = tuple(orders[2].index(c) for c in out)
    return [
        ("_a", "permute", names[:1], first, tuple(a.index(c) for c in orders[0])),
        ("_b", "permute", names[1:], second, tuple(b.index(c) for c in orders[1])),
        ("_product", "matmul", ("_a", "_b"), made, ()),
        ("", "permute", ("_product",), tuple(sizes[c] for c in out), end),
    ]
