"""Formats: every one through the same tests, against the frameworks' own files, and damaged."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import zipfile

import mindspore
import numpy as np
import onnx
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper, numpy_helper

from weights import formats
from weights.formats import FORMATS, ckpt
from weights.formats.arrays import PLAIN
from zoo import protobuf
from zoo.errors import WeightsError

NAMES = sorted(FORMATS)
METADATA = {"model": "shufflenet_v1_1.0x_g3", "é": 'a "quoted" \n line', "": ""}
DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")


def some_arrays():
    rng = np.random.default_rng(0)
    return {
        "stem.conv.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "bn.gamma": np.array([np.nan, -0.0, np.inf, 1e-42], np.float32),
        "z/odd name é": rng.standard_normal((3, 5)).astype(np.float32).T,
        "steps": np.array(7),
        **{f"all.{dtype}": np.arange(6).reshape(2, 3).astype(dtype) for dtype in PLAIN},
        "one": np.ones(1, np.float16),
        "none": np.zeros((2, 0), np.float32),
    }


def written(name, arrays, metadata=None):
    file = io.BytesIO()
    FORMATS[name].write(file, arrays, metadata or {})
    return file.getvalue()


def read(data, name=None):
    """Read bytes as `weights.formats.read` does a file: by the one format that they look like."""
    fitting = [n for n, entry in FORMATS.items() if entry.matches(memoryview(data))]
    assert fitting == [name or fitting[0]]
    return FORMATS[fitting[0]].read(memoryview(data))


def assert_same(found, expected):
    """Same names, shapes, dtypes and bits; the order is the caller's matter."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()


# ── There and back ───────────────────────────────────────────────────────────────────────────────

ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(arrays=ARRAYS, metadata=st.dictionaries(st.text(), st.text(), max_size=3))
def test_there_and_back(name, arrays, metadata):
    data = written(name, arrays, metadata)
    contents = read(data, name)
    assert list(contents.entries) == [""]
    assert_same(contents.entries[""], arrays)
    assert (contents.metadata, contents.notes) == (metadata, ())
    order = list(contents.entries[""])
    if name == "safetensors":
        assert order == sorted(arrays, key=lambda n: (-arrays[n].itemsize, n))
    else:
        assert order == list(arrays)
    assert written(name, contents.entries[""], dict(reversed(contents.metadata.items()))) == data


WRITE_ALL = """
import hashlib, io, sys
from weights.formats import FORMATS, read
contents = read(sys.argv[1])[1]
for name in sorted(FORMATS):
    file = io.BytesIO()
    FORMATS[name].write(file, contents.entries[""], contents.metadata)
    print(hashlib.sha256(file.getvalue()).hexdigest())
"""


def test_another_process_writes_the_same_bytes(tmp_path):
    path = tmp_path / "given.npz"
    formats.write(path, some_arrays(), METADATA)
    expected = [hashlib.sha256(written(n, some_arrays(), METADATA)).hexdigest() for n in NAMES]
    for seed in ("1", "2"):
        command = [sys.executable, "-W", "error", "-c", WRITE_ALL, str(path)]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        assert found.stdout.split() == expected


@pytest.mark.parametrize("name", NAMES)
def test_any_layout_and_byte_order_is_written(name):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    given = {"big": array.astype(">f4"), "turned": array.T, "cut": array[:, ::2, 1:]}
    found = read(written(name, given), name).entries[""]
    assert all(found[n].dtype == np.float32 for n in given)
    assert all(np.array_equal(found[n], given[n]) for n in given)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_share_the_memory_of_the_file(name):
    data = written(name, {"a": np.ones(10, np.float32), "b": np.ones((2, 2))})
    whole = np.frombuffer(data, np.uint8)
    for array in read(data).entries[""].values():
        assert np.shares_memory(array, whole)
        assert not array.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_what_can_not_be_written(name):
    for arrays, text in (
        ({"c": np.ones(2, complex)}, f"'c': dtype (=complex128) must be one of {', '.join(PLAIN)}"),
        ({"o": np.array([None])}, f"'o': dtype (=object) must be one of {', '.join(PLAIN)}"),
        ({"\ud800": np.ones(2)}, "'\\ud800': must be text that UTF-8 can hold"),
    ):
        with pytest.raises(WeightsError) as error:
            written(name, arrays)
        assert str(error.value) == text
    with pytest.raises(WeightsError, match="must be text that UTF-8 can hold"):
        written(name, {"a": np.ones(2)}, {"a": "\udfff"})


@pytest.mark.parametrize(
    ("name", "arrays", "metadata", "text"),
    [
        ("npz", {"a\0b": np.ones(2)}, {}, "'a\\x00b': a zip cannot hold this name"),
        ("npz", {"a": np.ones(2)}, {"a": "b" * 70000},
         "metadata (=70008 bytes) must be at most 65535 in npz"),
        ("safetensors", {"__metadata__": np.ones(2)}, {},
         "__metadata__: is the name of the metadata, an array must have another"),
        ("mindspore", {}, {},
         "arrays (=0) must be at least 1: an empty checkpoint is an empty file"),
    ],
)  # fmt: skip
def test_what_one_format_can_not_hold(name, arrays, metadata, text):
    with pytest.raises(WeightsError) as error:
        written(name, arrays, metadata)
    assert str(error.value) == text


# ── The frameworks' own files ────────────────────────────────────────────────────────────────────


@pytest.fixture
def saved(tmp_path):
    """Return the bytes that ``mindspore.save_checkpoint`` writes for arrays."""

    def save(arrays, **options):
        path = tmp_path / "own.ckpt"
        values = [
            {"name": n, "data": mindspore.Parameter(mindspore.Tensor(a), name=n)}
            for n, a in arrays.items()
        ]
        mindspore.save_checkpoint(values, str(path), **options)
        return path.read_bytes()

    return save


def mindspore_arrays():
    return {n: np.ascontiguousarray(a) for n, a in some_arrays().items() if a.size and a.ndim}


def test_mindspore_checkpoints_are_read(saved, tmp_path):
    arrays, more = mindspore_arrays(), {"epoch": 3, "lr": 0.5, "who": "hé", "done": True}
    for crc in (False, True):
        contents = read(saved(arrays, append_dict=more, crc_check=crc), "mindspore")
        scalars = {"epoch": np.int64(3), "lr": np.float32(0.5), "done": np.bool_(True)}
        assert_same(contents.entries[""], {**arrays, **scalars})
        assert list(contents.entries[""]) == [*arrays, "epoch", "lr", "done"]
        assert contents.notes == ("value 'who': text, not read",)
    wide = mindspore.Tensor(np.array([1.5, -3.0], np.float32), mindspore.bfloat16)
    values = [{"name": "b", "data": mindspore.Parameter(wide)}]
    path = tmp_path / "b.ckpt"
    mindspore.save_checkpoint(values, str(path))
    assert_same(read(path.read_bytes()).entries[""], {"b": np.array([1.5, -3.0], np.float32)})


@pytest.mark.parametrize("chunk", [None, 1024, 4096])
def test_checkpoints_are_byte_for_byte_mindspores(saved, monkeypatch, chunk):
    arrays = mindspore_arrays()
    if chunk:
        monkeypatch.setattr(mindspore.train.serialization, "SLICE_SIZE", chunk // 1024)
        monkeypatch.setattr(ckpt, "CHUNK_BYTES", chunk)
        arrays["large"] = np.arange(3000, dtype=np.float32).reshape(3, 1000)
        arrays["exact"] = np.arange(2048, dtype=np.int8)
    data = saved(arrays)
    assert written("mindspore", arrays) == data
    assert data.count(b"large") == (0 if not chunk else -(-12000 // chunk))
    assert_same(read(data).entries[""], arrays)


@pytest.mark.parametrize(
    "metadata",
    [{}, METADATA, {"long": "x" * 100_000}, {"end": "crc_num12345678"}, {"crc_num": "1234567"}],
)
def test_mindspore_reads_ours(tmp_path, metadata):
    class Net(mindspore.nn.Cell):
        def __init__(self):
            super().__init__()
            self.fc = mindspore.nn.Dense(4, 3)
            self.steps = mindspore.Parameter(mindspore.Tensor(0, mindspore.int64), name="steps")

    arrays = {
        "steps": np.array(7),
        "fc.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "fc.bias": np.array([-0.0, 1e-42, 3], np.float32),
    }
    for name, format in (("mindspore", "ckpt"), ("safetensors", "safetensors")):
        path = tmp_path / f"ours.{format}"
        path.write_bytes(written(name, arrays, metadata))
        loaded = mindspore.load_checkpoint(str(path), format=format)
        assert_same({n: p.asnumpy() for n, p in loaded.items()}, arrays)
        net = Net()
        assert mindspore.load_param_into_net(net, loaded, strict_load=True) == ([], [])
        assert_same({p.name: p.asnumpy().copy() for p in net.get_parameters()}, arrays)
        assert formats.read(path)[1].metadata == metadata


def test_onnx_models_are_read():
    bits = np.array([1.5, -2.0, 65504], np.float16).view(np.uint16).tolist()
    kinds, kind = onnx.TensorProto, helper.make_tensor
    initializers = [
        kind("float_data", kinds.FLOAT, [2, 2], [1.5, -0.0, 3e38, 1e-42]),
        kind("double_data", kinds.DOUBLE, [2], [1 / 3, np.pi]),
        kind("int64_data", kinds.INT64, [3], [-1, 2**62, -(2**63)]),
        kind("int32_data", kinds.INT32, [2], [-(2**31), 7]),
        kind("uint64_data", kinds.UINT64, [2], [2**64 - 1, 0]),
        kind("uint32_data", kinds.UINT32, [2], [2**32 - 1, 0]),
        kind("int8", kinds.INT8, [2], [-128, 127]),
        kind("uint16", kinds.UINT16, [1], [65535]),
        kind("bool", kinds.BOOL, [3], [True, False, True]),
        kind("scalar", kinds.FLOAT, [], [4.0]),
        numpy_helper.from_array(np.arange(6, dtype=np.float64).reshape(2, 3), "raw"),
    ]
    expected = {t.name: numpy_helper.to_array(t) for t in initializers}
    half = onnx.TensorProto(name="half", dims=[3], data_type=kinds.FLOAT16, int32_data=bits)
    wide = np.array([1.5, -3], np.float32)
    brain = onnx.TensorProto(name="bf16", dims=[2], data_type=kinds.BFLOAT16)
    brain.int32_data.extend((wide.view(np.uint32) >> 16).tolist())
    text = onnx.TensorProto(name="s", dims=[1], data_type=kinds.STRING, string_data=[b"a"])
    expected |= {"half": np.array(bits, np.uint16).view(np.float16), "bf16": wide}
    value = helper.make_tensor_value_info("x", kinds.FLOAT, [2, 2])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "float_data"], ["y"])], "g", [value],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [2, 2])],
        [*initializers, half, brain, text],
    )  # fmt: skip
    model = helper.make_model(graph)
    helper.set_model_props(model, {"b": "1", "a": "é"})
    contents = read(model.SerializeToString(), "onnx")
    assert_same(contents.entries[""], expected)
    assert list(contents.entries[""]) == list(expected)
    assert contents.metadata == {"b": "1", "a": "é"}
    assert contents.notes == ("initializer 's': text, not read", "a graph of 1 nodes, not read")


def test_onnx_numbers_that_are_not_packed_are_read():
    # Writers of proto2 put each number in a field of its own.
    number = protobuf.integer_field
    floats = b"".join(b"\x25" + struct.pack("<f", x) for x in (1.5, -2.0))
    tensor = number(1, 2) + number(2, 1) + protobuf.bytes_field(8, b"f") + floats
    other = (
        number(1, 2) + number(2, 7) + protobuf.bytes_field(8, b"i") + number(7, -5) + number(7, 6)
    )
    graph = protobuf.bytes_field(5, tensor) + protobuf.bytes_field(5, other)
    found = read(number(1, 8) + protobuf.bytes_field(7, graph), "onnx").entries[""]
    assert_same(found, {"f": np.array([1.5, -2.0], np.float32), "i": np.array([-5, 6])})


def test_onnx_reads_ours():
    arrays = {n or "unnamed": a for n, a in some_arrays().items()}
    data = written("onnx", arrays, METADATA)
    onnx.checker.check_model(data)
    model = onnx.load_from_string(data)
    assert_same({t.name: numpy_helper.to_array(t) for t in model.graph.initializer}, arrays)
    assert {p.key: p.value for p in model.metadata_props} == METADATA
    assert [p.key for p in model.metadata_props] == sorted(METADATA)
    assert (model.producer_name, model.graph.name) == ("parity-zoo", "weights")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_are_read(save):
    arrays, file = some_arrays(), io.BytesIO()
    save(
        file, **arrays, big=np.arange(3, dtype=">i4"), classes=np.array(["cat"]), c=np.ones(1, "c8")
    )
    contents = read(file.getvalue(), "npz")
    assert_same(contents.entries[""], {**arrays, "big": np.arange(3, dtype=np.int32)})
    assert contents.notes == ("'classes': dtype '<U3', not read", "'c': dtype '<c8', not read")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_headers_of_every_version_are_read(version):
    member, array = io.BytesIO(), np.arange(6.0).reshape(2, 3)
    np.lib.format.write_array(member, array, version)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", member.getvalue())
        archive.writestr("README", "hello")
        archive.comment = b"made by hand"
    contents = read(file.getvalue(), "npz")
    assert_same(contents.entries[""], {"a": array})
    assert contents.notes == (
        "member 'README': not an array, not read",
        "a comment of 12 bytes, not read",
    )


def test_numpy_reads_ours():
    with np.load(io.BytesIO(written("npz", some_arrays(), METADATA)), allow_pickle=False) as found:
        assert list(found) == list(some_arrays())
        assert_same(dict(found), some_arrays())
    member = io.BytesIO()
    np.save(member, np.arange(6.0).reshape(2, 3))  # and the header is NumPy's own
    assert member.getvalue() in written("npz", {"a": np.arange(6.0).reshape(2, 3)})


def test_safetensors_files_are_read(tmp_path):
    tensors = {
        "bf16": torch.tensor([1.5, -3.0, float("inf")]).bfloat16(),
        "a": torch.arange(6.0).reshape(2, 3),
        "f8": torch.ones(3).to(torch.float8_e4m3fn),
    }
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    contents = read(path.read_bytes(), "safetensors")
    expected = {"a": tensors["a"].numpy(), "bf16": np.array([1.5, -3, np.inf], np.float32)}
    assert_same(contents.entries[""], expected)
    assert contents.metadata == {"format": "pt"}
    assert contents.notes == ("'f8': F8_E4M3, not read",)


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"é": '"\\/\x01\x7f\u2028'}])
def test_safetensors_are_byte_for_byte_the_librarys(metadata):
    for dtype in PLAIN:
        arrays = {n: np.ones(3, dtype) for n in ("b", "a.10", "a.9", "", "é", 'q"', "\n")}
        arrays["0-d"] = np.ones((), dtype)
        theirs = safetensors.numpy.save(arrays, metadata or None)
        assert written("safetensors", arrays, metadata) == theirs


def test_safetensors_reads_ours(tmp_path):
    arrays, path = some_arrays(), tmp_path / "ours.safetensors"
    formats.write(path, arrays, METADATA)
    assert_same(safetensors.numpy.load_file(path), arrays)
    assert_same({n: t.numpy() for n, t in safetensors.torch.load_file(path).items()}, arrays)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == METADATA


def test_all_bfloat16_values_are_widened_exactly():
    bits = np.arange(1 << 16, dtype=np.uint16)
    header = b'{"b":{"dtype":"BF16","shape":[65536],"data_offsets":[0,131072]}}'
    data = len(header).to_bytes(8, "little") + header + bits.tobytes()
    expected = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    found = read(data).entries[""]["b"]
    assert found.dtype == np.float32
    assert np.array_equal(found.view(np.uint32) >> 16, bits)
    assert not (found.view(np.uint32) & 0xFFFF).any()
    assert np.array_equal(found, expected.float().numpy(), equal_nan=True)


# ── The wire format ──────────────────────────────────────────────────────────────────────────────


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=40), st.integers(1, 12))
def test_integers_of_the_wire_format(values, block):
    data = memoryview(b"".join(map(protobuf.integer, values)))
    expected, at = [v % 2**64 for v in values], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protobuf, "BLOCK", max(block, protobuf.MAX_VARINT))
        assert protobuf.packed(data).tolist() == expected
    for value in expected:
        found, at = protobuf.varint(data, at)
        assert found == value
        assert protobuf.signed(found) in (value, value - 2**64)
    assert at == len(data)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\x0a\x05abc", "cut short: field 1 (=5 bytes) must fit into the 3 left"),
        (b"\x0d\x05abc"[:3], "cut short: field 1 (=4 bytes) must fit into the 2 left"),
        (b"\x08\x80", "cut short: the bytes end inside an integer"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "an integer must be at most 10 bytes long"),
        (b"\x02\x01", "field number (=0) must be from 1 to 536870911"),
        (b"\x0b\x01", "wire type (=3) of field 1 must be 0, 1, 2 or 5"),
    ],
)
def test_damaged_messages(message, text):
    with pytest.raises(WeightsError) as error:
        list(protobuf.fields(memoryview(message)))
    assert str(error.value) == text


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x01\x80", b"\x80" * 10 + b"\x01", b"\x01" + b"\x80" * 11]
)
def test_damaged_packed_integers(data):
    with pytest.raises(
        WeightsError, match=r"^cut short|^an integer must be at most 10 bytes long$"
    ):
        protobuf.packed(memoryview(data))
