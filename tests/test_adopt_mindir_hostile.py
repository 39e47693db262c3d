"""MINDIR files that were made up, byte by byte: none is read as something that it does not say."""

from __future__ import annotations

import pytest

import zoo
from zoo.protobuf import bytes_field, integer_field


def text(number, value):
    return bytes_field(number, value.encode())


def tensor(shape, data=None, dtype=1, name="", more=b""):
    dims = b"".join(integer_field(1, n) for n in shape)
    raw = b"" if data is None else bytes_field(9, data)
    return dims + integer_field(2, dtype) + (text(7, name) if name else b"") + raw + more


def call(kind, inputs, output, shape=(2, 3, 8, 8)):
    told = text(1, "shape") + bytes_field(12, tensor(shape)) + integer_field(16, 19)
    read = b"".join(text(1, name) for name in inputs)
    return bytes_field(1, read + text(2, output) + text(4, kind) + bytes_field(5, told))


def graph(*nodes, name="g", image=(2, 3, 8, 8), dtype=1, arrays=(), output="y", inputs=("x",)):
    given = (
        bytes_field(5, text(1, i) + bytes_field(2, tensor(image, dtype=dtype))) for i in inputs
    )
    held = (bytes_field(3, array) for array in arrays)
    return b"".join((*nodes, text(2, name), *held, *given, bytes_field(6, text(1, output))))


def model(main, *further):
    return bytes_field(7, main) + b"".join(bytes_field(8, other) for other in further)


def with_weight(shape=(4, 3, 1, 1), data=bytes(48), **more):
    held = tensor(shape, data, name="g:conv.weight", **more)
    return model(graph(call("Conv2D", ["x", "g:conv.weight"], "y", (2, 4, 8, 8)), arrays=[held]))


def calls_twice(name, called):
    return graph(call(called, ["x"], "v"), call(called, ["v"], f"{name}y"), name=name,
                 output=f"{name}y")  # fmt: skip


def deep():
    value = integer_field(16, 20)
    for _ in range(40):
        value = integer_field(16, 20) + bytes_field(17, value)
    constant = text(2, "c") + text(4, "Constant") + bytes_field(5, text(1, "value") + value)
    return model(graph(bytes_field(1, constant), call("ReLU", ["x"], "y")))


MADE_UP = {
    "one that is": (lambda: model(graph(call("ReLU", ["x"], "y"))), None),
    "another that is": (with_weight, None),
    "nothing": (lambda: b"", r"size \(=0 bytes\) must be from 1"),
    "an encrypted file": (lambda: bytes(range(7, 200)), "is no MINDIR file, or encrypted: "),
    "no graph": (lambda: text(2, "MindSpore"), "it must hold one graph"),
    "big-endian": (lambda: with_weight() + integer_field(10, 0), "numbers must be little-endian"),
    "several inputs": (
        lambda: model(graph(call("ReLU", ["x"], "y"), inputs=("x", "z"))),
        "it takes 2 inputs: it must take one, of images",
    ),
    "no images": (
        lambda: model(graph(call("ReLU", ["x"], "y"), image=(2, 3))),
        r"its input \(=float32 \[2, 3\]\) must be float32 images \(N, C, H, W\)",
    ),
    "half": (
        lambda: model(graph(call("ReLU", ["x"], "y"), dtype=10)), r"its input \(=float16 \[2, 3, "
    ),
    "half a weight": (lambda: with_weight(dtype=10, data=bytes(24)), r"dtype \(=float16\) must be"),
    "open sizes": (
        lambda: model(graph(call("ReLU", ["x"], "y"), image=(2, 3, -1, -1))), "must have a size"
    ),
    "external data": (
        lambda: with_weight(data=None, more=bytes_field(12, text(1, "../../secret"))),
        "conv.weight: its data are in another file",
    ),
    "a gigantic array": (
        lambda: with_weight(shape=(1 << 40, 3, 1, 1)), r"data \(=48 bytes\) must be 13194139533312"
    ),
    "a negative size": (lambda: with_weight(shape=(-4, 3, 1, 1)), "shape .* is not possible"),
    "a weight that is not there": (
        lambda: model(graph(call("Conv2D", ["x", "w"], "y"))), "Conv2D: reads w, which nothing"
    ),
    "a weight of other rank": (lambda: with_weight(shape=(4, 3)), "Conv2D: its weight of shape"),
    "a circle": (
        lambda: model(graph(call("ReLU", ["y"], "v"), call("ReLU", ["v"], "y"))), "reads y, which"
    ),
    "no output": (lambda: model(graph(call("ReLU", ["x"], "v"))), "y: is made by nothing"),
    "a graph that calls itself": (
        lambda: model(graph(call("g", ["x"], "y"))), "call each other more than 32 deep"
    ),
    "graphs that call the next one twice": (
        lambda: model(*(calls_twice(f"g{i}", f"g{i + 1}") for i in range(30))),
        "it makes more than 65536 calls",
    ),
    "values within values": (deep, r"messages \(=16\) are too deep within each other"),
    "arguments that contradict": (
        lambda: model(graph(call("Transpose", ["x", "x"], "y"))), "Transpose: perm must be constant"
    ),
    "a shape that is a lie": (
        lambda: model(graph(call("Flatten", ["x"], "y", (2, 7)))), "cannot be \\(1, 7\\)"
    ),
    "what mixes images": (
        lambda: model(graph(call("Reshape", ["x"], "y", (3, 128)))), "which mixes the images"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_UP)
def test_files_that_are_no_networks_of_ours_are_refused(name, tmp_path):
    make, message = MADE_UP[name]
    (tmp_path / "net.mindir").write_bytes(make())
    if message is None:
        assert len(zoo.adopt(tmp_path / "net.mindir", example=(2, 3, 8, 8)).graph.nodes) == 1
        return
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(tmp_path / "net.mindir", example=(2, 3, 8, 8))
