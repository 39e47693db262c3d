"""PyTorch's checkpoints: what torch.save writes is read, and what is written torch.load reads."""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import subprocess
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weights.formats import registry
from weights.formats.arrays import PLAIN
from weights.formats.contents import Contents
from weights.formats.pth.format import FORMAT
from zoo.errors import WeightsError

FORMS = {"zip": True, "legacy": False}


def saved(value: object, form: str = "zip", **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=FORMS[form], **options)
    return file.getvalue()


def written(arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    FORMAT.write(file, arrays, metadata or {})
    return file.getvalue()


def read(data: bytes) -> Contents:
    assert FORMAT.matches(memoryview(data))
    return FORMAT.read(memoryview(data))


def values(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def assert_same(arrays: dict[str, np.ndarray], tensors: dict[str, torch.Tensor]) -> None:
    assert list(arrays) == list(tensors)
    for name, tensor in tensors.items():
        expected = values(tensor)
        assert arrays[name].dtype == expected.dtype, name
        assert arrays[name].shape == expected.shape, name
        assert arrays[name].tobytes() == expected.tobytes(), name


def tensors() -> OrderedDict[str, torch.Tensor]:
    """Every kind of tensor that a state dict may hold, one of each."""
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    conjugate = torch.randn(3, dtype=torch.complex64)
    return OrderedDict(
        plain=torch.randn(2, 3),
        transposed=torch.randn(2, 3, 4).permute(2, 0, 1),
        channels_last=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        rows=base[1:3],
        columns=base[:, ::2],
        tied=base,
        expanded=torch.randn(3, 1).expand(3, 1)[:, :1],
        parameter=torch.nn.Parameter(torch.randn(3)),
        half=torch.randn(5).half(),
        bfloat16=torch.tensor([1.5, -0.0, float("inf"), float("nan"), 3e38]).bfloat16(),
        bfloat16_part=torch.randn(4, 4).bfloat16()[1:, 1::2],
        double=torch.randn(2).double(),
        int64=torch.tensor([-(2**62), 7]),
        int16=torch.arange(5, dtype=torch.int16),
        uint8=torch.arange(5, dtype=torch.uint8),
        bool=torch.tensor([True, False, True]),
        complex=conjugate,
        scalar=torch.tensor(3),
        empty=torch.zeros(0, 3),
    )


# ── What torch.save writes ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_state_dict(form, protocol):
    given_ = tensors()
    contents = read(saved(given_, form, pickle_protocol=protocol))
    assert list(contents.entries) == [""]
    assert_same(contents.entries[""], given_)
    assert contents.notes == ()


@pytest.mark.parametrize("form", FORMS)
def test_module_state_dict(form):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    assert_same(read(saved(model.state_dict(), form)).entries[""], model.state_dict())


def test_newest_dtypes():
    given_ = {
        "uint16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
        "uint32": torch.tensor([0, 1, 2, 3, 2**32 - 1], dtype=torch.uint32)[1::2],
        "uint64": torch.tensor([2**63], dtype=torch.uint64),
    }
    assert_same(read(saved(given_)).entries[""], given_)


def test_other_byte_order():
    """PyTorch on a big-endian machine turns nothing and says so in a record."""
    turned = {"w": torch.tensor([1.0, -2.5]), "b": torch.tensor([1.5]).bfloat16()}
    with zipfile.ZipFile(io.BytesIO(saved(turned))) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    records["archive/byteorder"] = b"big"
    records["archive/data/0"] = np.array([1.0, -2.5], ">f4").tobytes()
    records["archive/data/1"] = records["archive/data/1"][::-1]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    assert_same(read(file.getvalue()).entries[""], turned)


def test_no_copies():
    data = saved({"a": torch.randn(100), "b": torch.randn(4, 4).t()})
    whole = np.frombuffer(data, np.uint8)
    for array in read(data).entries[""].values():
        assert np.shares_memory(array, whole)
        assert not array.flags.writeable


def test_tied_arrays_share_memory():
    tied = torch.randn(4).bfloat16()
    arrays = read(saved({"a": tied, "b": tied[1:]})).entries[""]
    assert np.shares_memory(arrays["a"], arrays["b"])


def checkpoint() -> dict[str, object]:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return {
        "state_dict": model.state_dict(),
        "state_dict_ema": {f"module.{name}": t for name, t in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 3,
        "arch": "shufflenet",
        "best": np.float64(71.25),
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("/tmp")),
        "config": types.SimpleNamespace(depth=3),
        "counts": Counter(a=2),
        "losses": [1.0, 2.0],
        "seen": {1, 2},
        "recent": deque([1.0], maxlen=3),
        "version": torch.__version__,
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "random": (torch.get_rng_state(), np.random.get_state()),
        "numpy": defaultdict(
            dict, mean=np.arange(6.0).reshape(2, 3), order=np.zeros((2, 3), "f4").T
        ),
        "model": {"encoder": {"weight": torch.ones(2)}, "decoder": {"weight": torch.zeros(2)}},
        "mixed": {"weight": torch.ones(1), "version": None, 7: torch.ones(1)},
    }


@pytest.mark.parametrize("form", FORMS)
def test_whole_checkpoint(form):
    given_ = checkpoint()
    contents = read(saved(given_, form))
    assert list(contents.entries) == [
        "state_dict", "state_dict_ema", "numpy", "model.encoder", "model.decoder", "mixed",
    ]  # fmt: skip
    assert_same(contents.entries["state_dict"], given_["state_dict"])
    assert_same(contents.entries["state_dict_ema"], given_["state_dict_ema"])
    assert_same(contents.entries["model.decoder"], given_["model"]["decoder"])
    assert_same(contents.entries["mixed"], {"weight": torch.ones(1)})
    for name, array in given_["numpy"].items():
        assert contents.entries["numpy"][name].dtype == array.dtype
        np.testing.assert_array_equal(contents.entries["numpy"][name], array)
    assert contents.notes == (
        "entry 'epoch' = 3",
        "entry 'arch' = 'shufflenet'",
        "entry 'best' = 71.25",
        "entry 'args': argparse.Namespace, not read",
        "entry 'config': types.SimpleNamespace, not read",
        "entry 'losses': a list of 2, not read",
        "entry 'seen': builtins.set, not read",
        "entry 'recent': collections.deque, not read",
        "entry 'version': torch.torch_version.TorchVersion, not read",
        "entry 'device': a device, not read",
        "entry 'dtype': torch.float16, not read",
        "entry 'random': a tuple of 2, not read",
        "entry 'optimizer': optimizer state, not read",
        f"entry 'scheduler': a dict of {len(given_['scheduler'])} without arrays, not read",
        "entry 'counts': a dict of 1 without arrays, not read",
        "entry 'mixed.version' = None",
        "entry 'mixed': 1 values under keys that are not text, not read",
    )


def test_aliases_and_cycles():
    state = {"w": torch.ones(1)}
    tree = {"model": state, "ema": state}
    tree["self"] = tree
    contents = read(saved(tree))
    assert list(contents.entries) == ["model", "ema"]
    assert contents.entries["model"] is contents.entries["ema"]
    assert contents.notes == ("entry 'self': the same as '', not read",)


def test_tensors_that_are_left_out():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.attribute = 3
    contents = read(
        saved(
            {
                "fine": parameter,
                "float8": torch.zeros(3).to(torch.float8_e4m3fn),
                "sparse": torch.eye(3).to_sparse(),
                "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
                "meta": torch.zeros(3, device="meta"),
                "storage": torch.zeros(3).untyped_storage(),
            }
        )
    )
    assert_same(contents.entries[""], {"fine": parameter})
    assert contents.notes == (
        "entry 'float8': dtype torch.float8_e4m3fn, not read",
        "entry 'sparse': a sparse tensor, not read",
        "entry 'conjugate': a conjugated or negated view, not read",
        "entry 'meta': a tensor without data, not read",
        "entry 'storage': a storage without a shape, not read",
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "holds no arrays by name: an empty dict"),
        ({"epoch": 3}, "holds no arrays by name: entry 'epoch' = 3"),
        ([torch.ones(1)], "holds a list of 1, not a dict of arrays"),
        (torch.ones(1), "holds one array without a name, not a dict of arrays"),
        (
            {0: torch.ones(1)},
            "holds no arrays by name: file: 1 values under keys that are not text",
        ),
        (3, "holds a value of type int, not a dict of arrays"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_nothing_to_read(form, value, message):
    with pytest.raises(WeightsError) as error:
        read(saved(value, form))
    assert str(error.value).startswith(message)


def test_torchscript_and_tar_are_named(tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:  # as torch.jit.save lays it out
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", b"x")
    with pytest.raises(
        WeightsError, match=r"is a TorchScript program, not weights; nothing was run"
    ):
        read(path.read_bytes())
    tar = b"sys_info".ljust(257, b"\0") + b"ustar\x0000" + bytes(1000)
    with pytest.raises(WeightsError, match=r"a tar archive of PyTorch before 0\.1\.10"):
        read(tar)


def test_real_file():
    folder = os.environ.get("ZOO_DATA")
    if not folder:
        pytest.skip("ZOO_DATA does not name the folder of real files: not run")
    path = pathlib.Path(folder) / "weights" / "megvii_shufflenet_v1_0.5x_g3.pth.tar"
    expected = torch.load(path, weights_only=True, map_location="cpu")
    contents = read(path.read_bytes())
    assert list(contents.entries) == ["state_dict"]
    assert_same(contents.entries["state_dict"], expected["state_dict"])


# ── What is written ──────────────────────────────────────────────────────────────────────────────


def plain_arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    made = {name: rng.integers(0, 2, (2, 3, 5)).astype(name) for name in PLAIN}
    return made | {
        "scalar": np.float32(2.5) * np.ones((), np.float32),
        "empty": np.zeros((3, 0, 2), np.float32),
        "large": rng.standard_normal(70_000).astype(np.float32),
        "strided": rng.standard_normal((4, 6))[::2, ::3],
        "turned": rng.standard_normal(3).astype(">f8"),
        "rank 5": np.ones((1, 2, 1, 2, 300)),
    }


@pytest.mark.parametrize(
    "options",
    [dict(weights_only=True), dict(weights_only=False), dict(weights_only=True, mmap=True)],
    ids=str,
)
def test_torch_loads_ours(tmp_path, rng, options):
    path, arrays = tmp_path / "ours.pth", plain_arrays(rng)
    path.write_bytes(written(arrays, {"network": "x"}))
    loaded = torch.load(path, **options)
    assert type(loaded) is OrderedDict
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].numpy().dtype == array.dtype.newbyteorder("="), name
        assert loaded[name].is_contiguous()
        np.testing.assert_array_equal(loaded[name].numpy(), array, strict=False)
        assert loaded[name].shape == array.shape


def test_layout(rng):
    data = written(plain_arrays(rng), {"b": "2", "a": "1"})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for info in archive.infolist():
            extra = int.from_bytes(
                data[info.header_offset + 28 : info.header_offset + 30], "little"
            )
            assert (info.header_offset + 30 + len(info.filename) + extra) % 64 == 0
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.read("archive/extra/zoo.json") == b'{"a":"1","b":"2"}'
    assert names[:3] == ["archive/data.pkl", "archive/byteorder", "archive/data/0"]
    assert names[-2:] == ["archive/version", "archive/extra/zoo.json"]
    assert b"zoo.json" not in written({"w": np.ones(1)})


def test_same_bytes_every_time(rng):
    arrays = plain_arrays(rng)
    first = written(arrays, {"b": "2", "a": "1"})
    assert first == written({k: v.copy() for k, v in arrays.items()}, {"a": "1", "b": "2"})


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    arrays=st.dictionaries(
        NAMES,
        st.sampled_from(PLAIN).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0))
        ),
        min_size=1,
        max_size=5,
    ),
    metadata=st.dictionaries(NAMES, NAMES, max_size=3),
)
def test_round_trip(arrays, metadata):
    data = written(arrays, metadata)
    contents = read(data)
    assert contents.metadata == metadata
    assert contents.notes == ()
    assert list(contents.entries) == [""]
    found = contents.entries[""]
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
    loaded = torch.load(io.BytesIO(data), weights_only=True)
    assert all(loaded[name].numpy().tobytes() == a.tobytes() for name, a in arrays.items())


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        ({"w": np.array(["x"])}, {}, r"'w': dtype \(=<U1\) must be one of bool, "),
        ({"w": np.ones(1, object)}, {}, r"'w': dtype \(=object\) must be one of bool, "),
        ({"w" * 2000: np.ones(1)}, {}, r"a name must have at most 1024 characters"),
        ({"\ud800": np.ones(1)}, {}, r"must be text that UTF-8 can hold"),
        ({"w": np.ones(1)}, {"k": "v" * (5 << 20)}, r"metadata \(=\d+ bytes\) must be at most"),
    ],
)
def test_refused_before_a_byte_is_written(arrays, metadata, message):
    file = io.BytesIO()
    with pytest.raises(WeightsError, match=message):
        FORMAT.write(file, arrays, metadata)
    assert file.getvalue() == b""


def test_foreign_metadata_is_a_note():
    data = written({"w": np.ones(1)}, {"k": "v"})
    # Of the same length; the checksum would tell, and is set to "none".
    broken = bytearray(data.replace(b'{"k":"v"}', b'{"k":111}'))
    central = broken.rindex(b"PK\1\2")
    broken[central + 16 : central + 20] = bytes(4)
    contents = read(bytes(broken))
    assert contents.metadata == {}
    assert contents.notes == ("record extra/zoo.json: not a short dict of texts, not read",)


# ── Beside the others ────────────────────────────────────────────────────────────────────────────


def test_other_formats_do_not_match():
    file = io.BytesIO()
    np.savez(file, **{"data.pkl": np.ones(2)})
    for data in (file.getvalue(), b"PK\3\4", b"\x80\x02}.", b"\x89HDF", b"", b"PK\3\4" + bytes(99)):
        assert not FORMAT.matches(memoryview(data))


@pytest.mark.parametrize("form", FORMS)
def test_through_the_registry(tmp_path, form):
    path = tmp_path / "weights.bin"
    path.write_bytes(saved({"w": torch.ones(2)}, form))
    name, contents = registry.read(path)
    assert (name, list(contents.entries[""])) == ("torch", ["w"])


def test_torch_is_not_imported():
    code = "import sys, weights.formats.pth; print([m for m in sys.modules if m[:5] == 'torch'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
