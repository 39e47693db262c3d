"""Damaged and hostile files: refused at once, with a text that names the place; nothing else."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import mindspore
import numpy as np
import onnx
import pytest
import safetensors
from conftest import calls
from fuzzing import samples
from fuzzing.doors import case
from test_formats import METADATA, NAMES, read, written

from weights import formats
from weights.formats import FORMATS
from weights.formats.arrays import PLAIN
from weights.formats.registry import DAMAGE
from zoo import protobuf
from zoo.errors import WeightsError


def readers(data):
    """Yield every format's reader, applied to bytes whether they look like it or not."""
    for entry in FORMATS.values():
        entry.matches(memoryview(data))
        try:
            entry.read(memoryview(data))
        except (WeightsError, *DAMAGE) as error:
            yield error


@pytest.mark.parametrize("name", NAMES)
def test_cut_files_are_refused(name):
    data = written(name, {"a": np.arange(40.0), "b": np.ones((2, 3), np.float32)}, METADATA)
    for size in {*range(60), *range(60, len(data), 7), *range(len(data) - 40, len(data))}:
        assert FORMATS[name].matches(memoryview(data)[:size]) in (True, False)
        try:
            found = FORMATS[name].read(memoryview(data)[:size])
        except (WeightsError, *DAMAGE):
            continue
        # A checkpoint says nowhere how many values it has: cut between two, it is whole.
        assert name == "mindspore"
        assert len(found.entries[""]) + len(found.metadata) < 2 + len(METADATA)


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_and_noise_raise_nothing_else(name):
    rng = np.random.default_rng(0)
    data = np.frombuffer(written(name, {"a": np.arange(9.0), "b": np.ones(2)}, METADATA), np.uint8)
    for _ in range(300):
        flipped = data.copy()
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        list(readers(flipped.tobytes()))
        list(readers(rng.bytes(rng.integers(200))))
        list(readers(data[: rng.integers(20)].tobytes() + rng.bytes(100)))


def test_a_checksum_finds_every_flipped_bit_of_the_data(tmp_path):
    array = np.arange(50, dtype=np.float32)
    path = tmp_path / "own.ckpt"
    value = mindspore.Parameter(mindspore.Tensor(array), name="a")
    mindspore.save_checkpoint([{"name": "a", "data": value}], str(path), crc_check=True)
    for data in (written("npz", {"a": array}), path.read_bytes()):
        start = data.index(array.tobytes())
        for at in range(start, start + array.nbytes):
            changed = bytearray(data)
            changed[at] ^= 4
            with pytest.raises(WeightsError, match="damaged"):
                read(bytes(changed))


def record(name, dims, type, data, more=b""):
    field, number = protobuf.bytes_field, protobuf.integer_field
    tensor = b"".join(number(1, d) for d in dims) + field(2, type) + field(3, data) + more
    return field(1, field(1, name) + field(2, tensor))


def initializer(dims, type, *more, raw=b""):
    field, number = protobuf.bytes_field, protobuf.integer_field
    tensor = (
        b"".join(number(1, d) for d in dims) + number(2, type) + field(8, b"a") + b"".join(more)
    )
    tensor += field(9, raw) if raw is not None else b""
    return number(1, 8) + field(7, field(5, tensor))


def npz(descr, shape, data=b"", size=None, flags=0, method=0, count=1):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(count):
            archive.writestr(f"{'a' if i == 0 else i}.npy", member)
    data = bytearray(file.getvalue())
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= flags
    data[directory + 10] = method
    if size is not None:
        data[directory + 24 : directory + 28] = struct.pack("<I", size)
    return bytes(data)


def bomb():
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(100 << 20, np.uint8))
    return file.getvalue()


def tensors(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


ONE = np.ones(1, np.float32).tobytes()
W = b'"dtype":"F32","shape":[1],"data_offsets":[0,4]'
PLAIN_TEXT = ", ".join(PLAIN)
DAMAGED = {
    # MindSpore
    "ckpt: huge": (
        lambda: record(b"w", [1 << 40], b"Float32", ONE),
        "'w': shape (=[1099511627776]) must hold numbers from 0 to 2147483647",
    ),
    "ckpt: many dims": (
        lambda: record(b"w", [1] * 33, b"Float32", ONE), "'w': rank (=33) must be at most 32"),
    "ckpt: negative": (
        lambda: record(b"w", [-1], b"Float32", ONE),
        "'w': shape (=[-1]) must hold numbers from 0 to 2147483647",
    ),
    "ckpt: too few data": (
        lambda: record(b"w", [4], b"Float32", ONE * 3),
        "'w': data (=12 bytes) must be 16 bytes: shape [4] of float32",
    ),
    "ckpt: twice": (
        lambda: record(b"w", [1], b"Float32", ONE) + record(b"v", [1], b"Float32", ONE)
        + record(b"w", [1], b"Float32", ONE), "'w': is there twice"),
    "ckpt: records disagree": (
        lambda: record(b"w", [2], b"Float32", ONE) + record(b"w", [3], b"Float32", ONE),
        "'w': its records disagree on dtype or shape",
    ),
    "ckpt: dtype": (
        lambda: record(b"w", [1], b"Float33", ONE),
        "'w': dtype (='Float33') must be one of Bool, Int8, Int16, Int32, Int64, UInt8, UInt16, "
        "UInt32, UInt64, Float16, Float32, Float64, BFloat16, str, a map, Int4, Float8E4M3FN, "
        "Float8E5M2, HiFloat8, Complex64, Complex128",
    ),
    "ckpt: crc": (
        lambda: record(b"w", [1], b"Float32", ONE) + b"crc_num" + (5).to_bytes(10, "big"),
        f"crc32 (={zlib.crc32(record(b'w', [1], b'Float32', ONE))}) must be 5: the file is damaged",
    ),
    "ckpt: field": (
        lambda: record(b"w", [1], b"Float32", ONE) + b"\x1a\x00",
        "field 3 is none of a MindSpore checkpoint",
    ),
    "ckpt: field of a tensor": (
        lambda: record(b"w", [1], b"Float32", ONE, b"\x22\x00"), "field 4 is none of a tensor"),
    "ckpt: bool": (
        lambda: record(b"w", [1], b"Bool", b"\x02"), "'w': the bytes of bool must be 0 or 1"),
    # ONNX
    "onnx: negative": (
        lambda: initializer([2, -3], 1),
        "'a': shape (=[2, -3]) must hold numbers from 0 to 2147483647",
    ),
    "onnx: huge": (
        lambda: initializer([1 << 30, 1 << 30], 1, raw=ONE),
        f"'a': data (=4 bytes) must be {1 << 62} bytes: shape [1073741824, 1073741824] of float32",
    ),
    "onnx: external": (
        lambda: initializer([1], 1, protobuf.integer_field(14, 1), raw=None),
        "'a': its data are in another file, which is not read; save the model as one file",
    ),
    "onnx: external path": (
        lambda: initializer([1], 1, protobuf.bytes_field(13, b"\x0a\x00"), raw=None),
        "'a': its data are in another file, which is not read; save the model as one file",
    ),
    "onnx: no data": (
        lambda: initializer([1], 1, raw=None),
        "'a': data (=0 bytes) must be 4 bytes: shape [1] of float32",
    ),
    "onnx: data twice": (
        lambda: initializer([1], 1, protobuf.bytes_field(4, ONE), raw=ONE),
        "'a': its data are in the wrong field, or in two",
    ),
    "onnx: stored otherwise": (
        lambda: initializer([1], 1, protobuf.integer_field(4, 1), raw=None),
        "'a': field 4 of a tensor is stored as 0, must be 5 or 2",
    ),
    "onnx: dtype": (
        lambda: initializer([1], 99),
        "'a': data_type (=99) must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, "
        "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26",
    ),
    "onnx: no graph": (
        lambda: protobuf.integer_field(1, 8) + protobuf.bytes_field(2, b"torch"),
        "has no graph: the file is cut short",
    ),
    # NumPy
    "npz: 1e15 elements": (
        lambda: npz("'<f4'", "(1000000, 1000000000)", ONE),
        "'a': member (=89 bytes) must have 4000000000000085: a header of 85 and shape "
        "[1000000, 1000000000] of float32",
    ),
    "npz: bomb": (
        bomb,
        f"members (={(100 << 20) + 128} bytes inflated) must have at most "
        f"{(64 << 20) + 32 * len(bomb())}: 64 MiB + 32 × the file's {len(bomb())} bytes",
    ),
    "npz: claimed size": (
        lambda: npz("'<f4'", "(1,)", ONE, size=1 << 31),
        "members (=2147483648 bytes inflated) must have at most 67114624: 64 MiB + 32 × the "
        "file's 180 bytes",
    ),
    "npz: objects": (
        lambda: npz("'|O'", "(1,)", b"cos\nsystem\n."),
        "'a': holds Python objects, which are not read",
    ),
    "npz: fields": (
        lambda: npz("[('x', '<f4'), ('y', '<f4')]", "(1,)", ONE * 2),
        "'a': has named fields (a structured dtype), which are not read",
    ),
    "npz: dtype": (
        lambda: npz("'<f5'", "(1,)", ONE), f"'a': dtype (='<f5') must be one of {PLAIN_TEXT}"),
    "npz: header": (
        lambda: npz("'<f4'", "(__import__('os').getpid(),)", ONE),
        "'a': header (=\"{'descr': '<f4', 'fortran_order': False, 'shape': "
        "(__import__('os').getpid(),),…\") is none that NumPy writes",
    ),
    "npz: encrypted": (lambda: npz("'<f4'", "(1,)", ONE, flags=1), "'a': is encrypted"),
    "npz: bzip2": (
        lambda: npz("'<f4'", "(1,)", ONE, method=12),
        "'a': compression method (=12) must be 0 (stored) or 8 (deflate)",
    ),
    "npz: cut": (
        lambda: npz("'<f4'", "(1,)", ONE)[:-30],
        "the zip's directory, at the end of the file, is cut off or damaged: File is not a zip "
        "file",
    ),
    "npz: cut comment": (
        lambda: written("npz", {"a": np.ones(1)}, {"b": "c"})[:-1],
        "comment (=8 bytes) must be 9, and end the file",
    ),
    # safetensors
    "safetensors: JSON": (
        lambda: tensors(b'{"a":}'),
        "header must be JSON: Expecting value: line 1 column 6 (char 5)",
    ),
    "safetensors: nesting": (
        lambda: tensors(b'{"a":' + b"[" * 100_000), "header must be JSON of few levels"),
    "safetensors: twice": (
        lambda: tensors(b'{"a":{%b},"a":{%b}}' % (W, W), ONE), "'a': is there twice"),
    "safetensors: hole": (
        lambda: tensors(b'{"a":{%b}}' % W.replace(b"[0,4]", b"[4,8]"), ONE * 2),
        "'a': data_offsets (=[4, 8]) must start at 0, where the array before it ends, and stop "
        "within 8",
    ),
    "safetensors: overlap": (
        lambda: tensors(b'{"a":{%b},"b":{%b}}' % (W, W), ONE),
        "'b': data_offsets (=[0, 4]) must start at 4, where the array before it ends, and stop "
        "within 4",
    ),
    "safetensors: left over": (
        lambda: tensors(b'{"a":{%b}}' % W, ONE + b"x"),
        "data (=5 bytes) must have the 4 bytes of the header",
    ),
    "safetensors: shape": (
        lambda: tensors(b'{"a":{%b}}' % W.replace(b"[1]", b"[1000000000000]"), ONE),
        "'a': shape (=[1000000000000]) must hold numbers from 0 to 2147483647",
    ),
    "safetensors: negative": (
        lambda: tensors(b'{"a":{%b}}' % W.replace(b"[1]", b"[-1]"), ONE),
        "'a': shape must be integers from 0",
    ),
    "safetensors: more": (
        lambda: tensors(b'{"a":{%b,"x":NaN}}' % W, ONE),
        "'a': must have dtype, shape, data_offsets, and no more",
    ),
    "safetensors: no text": (
        lambda: tensors(b'{"\\ud800":{%b}}' % W, ONE),
        "'\\ud800': must be text that UTF-8 can hold",
    ),
    "safetensors: digits": (
        lambda: tensors(b'{"a":%b}' % (b"1" * 5000)),
        "header must be JSON: Exceeds the limit (4300 digits) for integer string conversion: "
        "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit",
    ),
    "safetensors: metadata": (
        lambda: tensors(b'{"__metadata__":{"a":1}}'), "__metadata__ must be text by text"),
    # None of these
    "safetensors: length": (
        lambda: b"\xff" * 7 + b"\x0f{}",
        f"of no known format ({', '.join(FORMATS)}); it starts with "
        "b'\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x0f'",
    ),
    "unknown": (
        lambda: b"GIF89a....",
        f"of no known format ({', '.join(FORMATS)}); it starts with b'GIF89a..'",
    ),
}  # fmt: skip


def test_a_header_longer_than_its_file():
    # The length alone gives it away, so `read` is not asked: it is where the file shrank meanwhile.
    with pytest.raises(WeightsError) as error:
        FORMATS["safetensors"].read(memoryview(b"\xff" * 7 + b"\x0f{}"))
    assert str(error.value) == "header (=1152921504606846975 bytes) must be at most 2"


@pytest.mark.parametrize("title", DAMAGED)
def test_damage_is_named_at_once(title, tmp_path):
    make, text = DAMAGED[title]
    path = tmp_path / "file"
    path.write_bytes(make())
    with calls() as made, pytest.raises(WeightsError) as error:
        formats.read(path)
    assert made.count < 20_000
    assert str(error.value) == f"{path}: {text}"


def accepted(name):
    """Yield damaged files that are read all the same, and what was read."""
    valid = samples.formats()[name]
    for number in range(3000):
        data = case(name, valid, 4, number)
        if FORMATS[name].matches(memoryview(data)):
            try:
                yield data, FORMATS[name].read(memoryview(data))
            except (WeightsError, *DAMAGE):
                continue


def test_what_is_read_the_safetensors_library_reads_as_well():
    count = 0
    for data, contents in accepted("safetensors"):
        theirs = {name: bytes(entry["data"]) for name, entry in safetensors.deserialize(data)}
        ours = {name: array.tobytes() for name, array in contents.entries[""].items()}
        assert {n: theirs.pop(n) for n in ours} == ours
        assert len(theirs) == len(contents.notes)
        count += 1
    assert count > 100


def test_what_onnx_reads_too_is_the_same():
    count = 0
    for data, contents in accepted("onnx"):
        try:
            model = onnx.load_from_string(data)
        except Exception:  # it reads nodes as well
            continue
        unread = [note for note in contents.notes if note.startswith("initializer")]
        assert len(model.graph.initializer) == len(contents.entries[""]) + len(unread)
        for tensor in model.graph.initializer:
            if tensor.name in contents.entries[""]:
                theirs = onnx.numpy_helper.to_array(tensor)
                assert theirs.tobytes() == contents.entries[""][tensor.name].tobytes()
        count += 1
    assert count > 100


def test_metadata_that_are_not_ours_are_left():
    ours = written("npz", {"a": np.ones(1)}, {"b": "c"})
    for text in (b'{"b":1  }', b'["b","c"]', b"[[[[[[[[["):
        contents = read(ours[:-9] + text)
        assert (contents.metadata, contents.notes) == ({}, ("a comment of 9 bytes, not read",))
    long = protobuf.bytes_field(1000, b'{"\\ud800":""}')
    contents = read(written("mindspore", {"a": np.ones(1)}) + long)
    assert contents.notes == ("metadata of 13 bytes: not ours, not read",)
