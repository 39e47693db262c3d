"""Checkpoints made to do harm: nothing that a file names is run, and none takes more than it is.

The payload creates a file; `test_control` shows that Python's own unpickler does run it.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import calls

from weights.formats.pth.format import FORMAT
from weights.formats.pth.legacy import MAGIC, PROTOCOL
from weights.formats.pth.pickles import MAX_STEPS
from weights.formats.pth.write import pickled
from weights.formats.registry import DAMAGE
from zoo.errors import WeightsError

REFUSED = (
    "pickle names {}, which is neither a tensor nor a plain container; nothing was run. Save "
    "model.state_dict() instead"
)
ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
RECORDS = {"data/0": ARRAYS["w"].tobytes()}
STATE = pickled(ARRAYS)[2:-1]  # the opcodes that put a state dict on the stack


def zipped(objects: bytes, records: dict[str, bytes] = RECORDS, **options: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in {"data.pkl": objects, **records}.items():
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def legacy(objects: bytes, records: dict[str, bytes] = RECORDS) -> bytes:
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, {"little_endian": True}))
    keys = [name.removeprefix("data/") for name in records]
    tail = b"".join(struct.pack("<q", len(data) // 4) + data for data in records.values())
    return head + objects + pickle.dumps(keys, 2) + tail


FORMS = {"zip": zipped, "legacy": legacy}


def read(data: bytes):
    assert FORMAT.matches(memoryview(data))
    return FORMAT.read(memoryview(data))


def refusal(data: bytes) -> str:
    with pytest.raises(WeightsError) as error:
        read(data)
    assert len(str(error.value)) < 600
    return str(error.value)


# ── Code ─────────────────────────────────────────────────────────────────────────────────────────


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


MARKER = "ran"
COMMAND = f"touch {MARKER}"
CODE = f"open('{MARKER}', 'w').close()"

# name, opcodes, what the error names
PAYLOADS = {
    "reduce": (b"\x80\x02cos\nsystem\n" + text(COMMAND) + b"\x85R.", "os.system"),
    "posix": (b"\x80\x02cposix\nsystem\n" + text(COMMAND) + b"\x85R.", "posix.system"),
    "stack global": (
        b"\x80\x04" + text("os") + text("system") + b"\x93" + text(COMMAND) + b"\x85R.",
        "os.system",
    ),
    "inst": (f"(S'{COMMAND}'\nios\nsystem\n.".encode(), "os.system"),
    "obj": (f"(cos\nsystem\nS'{COMMAND}'\no.".encode(), "os.system"),
    "eval": (b"\x80\x02c__builtin__\neval\n" + text(CODE) + b"\x85R.", "__builtin__.eval"),
    "exec": (b"\x80\x03cbuiltins\nexec\n" + text(CODE) + b"\x85R.", "builtins.exec"),
    "new object": (
        b"\x80\x02csubprocess\nPopen\n(]" + b"(" + text("touch") + text(MARKER) + b"et\x81.",
        "subprocess.Popen",
    ),
    "in a state dict": (
        b"\x80\x02}(" + text("x") + STATE + text("y") + b"cos\nsystem\n" + text(COMMAND)
        + b"\x85Ru.",
        "os.system",
    ),
    "as a builder's argument": (
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN" + text(COMMAND)
        + b"\x85NtR.",
        "os.system",
    ),
    "dotted": (
        b"\x80\x04" + text("torch._utils") + text("os.system") + b"\x93" + text(COMMAND)
        + b"\x85R.",
        "torch._utils.os.system",
    ),
    "set state": (
        b"\x80\x02ccollections\nOrderedDict\n)R}(" + text("__setstate__")
        + b"cos\nsystem\nub" + text(COMMAND) + b"b.",
        "os.system",
    ),
}  # fmt: skip
# Neither obeyed by us, nor able to run anything in Python.
LIVE = {"reduce", "posix", "stack global", "inst", "obj", "eval", "exec"}


@pytest.fixture
def marker(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / MARKER


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PAYLOADS)
def test_code_is_not_run(marker, name, form):
    opcodes, named = PAYLOADS[name]
    assert refusal(FORMS[form](opcodes)) == REFUSED.format(named)
    assert not marker.exists()


@pytest.mark.parametrize("name", sorted(LIVE))
def test_control(marker, name):
    pickle.loads(PAYLOADS[name][0])
    assert marker.exists()


class Evil:
    def __reduce__(self):
        return os.system, (COMMAND,)


@pytest.mark.parametrize("zip_format", [True, False])
def test_reduce_through_torch_save(marker, zip_format):
    file = io.BytesIO()
    value = {"state_dict": {"w": torch.ones(2)}, "extra": Evil()}
    torch.save(value, file, _use_new_zipfile_serialization=zip_format)
    assert refusal(file.getvalue()) == REFUSED.format("posix.system")
    assert not marker.exists()
    torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    assert marker.exists()


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zip_format", [True, False])
def test_whole_module(zip_format):
    file = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), file, _use_new_zipfile_serialization=zip_format)
    assert refusal(file.getvalue()) == REFUSED.format("torch.nn.modules.linear.Linear")


def test_nothing_is_imported():
    sys.modules.pop("antigravity", None)
    assert refusal(zipped(b"\x80\x02cantigravity\nfly\n.")) == REFUSED.format("antigravity.fly")
    read(zipped(b"\x80\x02}(" + text("a") + STATE + text("b") + b"comegaconf.evil\nX\n)Ru."))
    assert "antigravity" not in sys.modules
    assert "omegaconf.evil" not in sys.modules


def test_harmless_names_swallow_everything():
    opcodes = b"cargparse\nNamespace\n)\x81}" + text("__setstate__") + b"Nsb"
    tree = b"\x80\x02}(" + text("sd") + STATE + text("args") + opcodes + b"u."
    contents = read(zipped(tree))
    assert list(contents.entries) == ["sd"]
    assert contents.notes == ("entry 'args': argparse.Namespace, not read",)


def test_names_are_shown_safely():
    message = refusal(zipped(b"\x80\x02cos\x1b[2J\nsystem\n."))
    assert message == REFUSED.format(r"'os\x1b[2J.system'")
    message = refusal(zipped(b"\x80\x02c" + b"a" * 900 + b"\nb\n."))
    assert message == REFUSED.format("a" * 200 + "…")


# ── Pickles that are not plain ───────────────────────────────────────────────────────────────────

MALFORMED = {
    b"\x80\x02\x82\x01.": "pickle, byte 2: opcode EXT1 has no place in a file of weights",
    b"\x80\x02\x83\x01\0.": "pickle, byte 2: opcode EXT2 has no place in a file of weights",
    b"\x80\x02\x84\x01\0\0\0.": "pickle, byte 2: opcode EXT4 has no place in a file of weights",
    b"P0\n.": "pickle, byte 0: opcode PERSID has no place in a file of weights",
    b"(ccollections\nOrderedDict\no.": "pickle, byte 26: opcode OBJ has no place in a "
    "file of weights",
    b"(icollections\nOrderedDict\n.": "pickle, byte 1: opcode INST has no place in a "
    "file of weights",
    b"\x80\x05\x97.": "pickle, byte 2: opcode NEXT_BUFFER has no place in a file of weights",
    b"K\x01Q.": "pickle, byte 2: a persistent id that is not a storage's",
    b"K\x01)R.": "pickle, byte 3: a int is called",
    b"]}b.": "pickle, byte 2: a list is given a state",
    b")K\x01a.": "pickle, byte 3: items are appended to a tuple",
    b"](K\x01K\x01u.": "pickle, byte 6: items are set on a list",
    b"}(K\x01u.": "pickle, byte 4: a key without a value",
    b"}X\xff\xff\x00\x00a.": "pickle is damaged near byte 0 (ValueError: expected 65535 bytes in a "
    "unicodestring4, but only 2 remain)",
    b"}\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.": "pickle is damaged near byte 0 (ValueError: "
    "expected 9223372036854775807 bytes in a bytes8, but only 1 remain)",
    b"\x8b\xff\xff\xff\x7f\x01.": "pickle is damaged near byte 0 (ValueError: not enough data in "
    "stream to read long4)",
    b"I1": "pickle is damaged near byte 0 (ValueError: no newline found when trying to "
    "read stringnl)",
    b"Sx'\n.": 'pickle is damaged near byte 0 (ValueError: no string quotes around b"x\'")',
    b"\xff.": "pickle is damaged near byte 0 (ValueError: at position 0, opcode b'\\xff' unknown)",
    b"": "pickle is damaged near byte 0 (ValueError: pickle exhausted before seeing STOP)",
    b".": "pickle is damaged near byte 0 (IndexError: pop from empty list)",
    b"h\x07.": "pickle is damaged near byte 0 (KeyError: 7)",
    b"0.": "pickle is damaged near byte 0 (IndexError: pop from empty list)",
    b"K\x01(\x85.": "pickle is damaged near byte 3 (IndexError: the stack is too short)",
    b"L" + b"9" * 4000 + b"L\n.": "pickle, byte 0: an integer of 13288 bits; at most 1024 are read",
    b"\x8b\0\0\1\0" + b"\x7f" * 65536 + b".": "pickle, byte 0: an integer of 524287 bits; at most "
    "1024 are read",
    b"}X\0\x10\0\0" + b"k" * 4096 + b"Ns.": "pickle, byte 4103: a key of 4096 characters; at most "
    "1024 are read",
    b"S'\\d'\n.": None,  # a deprecated escape: a warning from the codec, or text
}


@pytest.mark.filterwarnings("default::DeprecationWarning")
@pytest.mark.parametrize("opcodes", MALFORMED, ids=lambda opcodes: repr(opcodes[:12]))
def test_malformed(opcodes):
    expected = MALFORMED[opcodes]
    if expected is None:
        with pytest.warns(DeprecationWarning, match="invalid escape sequence"):
            assert refusal(zipped(opcodes)) == "holds a value of type str, not a dict of arrays"
    else:
        assert refusal(zipped(opcodes)) == expected


def test_too_many_steps(monkeypatch):
    monkeypatch.setattr("weights.formats.pth.pickles.MAX_STEPS", 1000)
    assert "more than 1000 steps" in refusal(zipped(b"N0" * 500 + b"N."))


def test_lists_have_their_price():
    """Two bytes name a list of a hundred thousand pairs again: the pairs count each time."""
    pairs = b"](" + (b"K\x01N\x86" * 100_000) + b"eq\0"
    calls = b"ccollections\nOrderedDict\nq\1" + b"h\1h\0\x85R0" * 100_000
    assert f"more than {MAX_STEPS} steps" in refusal(zipped(pairs + calls + b"."))


# ── Shapes of trees ──────────────────────────────────────────────────────────────────────────────

DEEP = 100_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b")" + b"\x85" * DEEP, STATE),  # a key whose hash would overflow C's stack
        (text("deep"), b")" + b"\x85" * DEEP),
        (text("deep"), b"]" * DEEP + b"a" * (DEEP - 1)),
        (text("deep"), (b"}" + text("a")) * DEEP + b"N" + b"s" * DEEP),
        (text("deep"), b"(" * DEEP + b"t" * DEEP),
        (b"ccollections\nOrderedDict\n)R", b"N"),
        (b"]", b"N"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_deep_nests(key, value, form):
    data = FORMS[form](b"\x80\x02}(" + text("sd") + STATE + key + value + b"u.")
    assert list(read(data).entries) == ["sd"]


@pytest.mark.parametrize(
    ("start", "double"),
    [
        (b")", lambda at: b"h%ch%c\x86" % (at, at)),
        (b"]", lambda at: b"](h%ch%ce" % (at, at)),
        (b"}", lambda at: b"}(" + text("a") + b"h%c" % at + text("b") + b"h%c" % at + b"u"),
        (STATE, lambda at: b"}(" + text("a") + b"h%c" % at + text("b") + b"h%c" % at + b"u"),
    ],
    ids=["tuples", "lists", "dicts", "dicts of arrays"],
)
def test_billion_laughs(start, double):
    levels = b"".join(double(at) + b"q%c" % (at + 1) for at in range(100, 160))
    tree = b"\x80\x02}(" + text("sd") + STATE + text("x") + start + b"qd" + levels + b"u."
    with calls() as made:
        assert "sd" in read(zipped(tree)).entries
    assert made.count < 20_000


def test_sparse_memo():
    put = b"Nr\xff\xff\xff\xff0" + b"Np" + b"9" * 100 + b"\n0"
    assert list(read(zipped(b"\x80\x02" + put + STATE + b".")).entries) == [""]


def test_too_many_entries():
    names = b"".join(text(f"k{i}") + b"h\x63" for i in range(2000))
    tree = b"\x80\x02" + STATE + b"q\x630}(" + names + b"u."
    assert refusal(zipped(tree)) == "more than 1000 dicts of arrays"


def test_paths_that_are_one():
    tree = b"\x80\x02}(" + text("a") + b"}" + text("b") + STATE + b"s" + text("a.b") + STATE + b"u."
    assert refusal(zipped(tree)) == "two dicts of arrays have the path 'a.b'"


# ── Tensors beyond their bytes ───────────────────────────────────────────────────────────────────


@dataclass
class Reference:
    """Pickled as the persistent id of a storage."""

    id: tuple[object, ...]


@dataclass
class Crafted:
    """Pickled as a tensor with any arguments."""

    arguments: tuple[object, ...]

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, (*self.arguments, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Reference) else None


def crafted(offset, size, stride, numel=6, kind=torch.FloatStorage, key="0", part=()) -> bytes:
    file = io.BytesIO()
    storage = Reference(("storage", kind, key, "cpu", numel, *part))
    Pickler(file, 2).dump({"w": Crafted((storage, offset, size, stride))})
    return file.getvalue()


BEYOND = "'w': size {}, stride '{}' and offset '{}' reach beyond the storage of 6 elements"
OUTSIDE = {
    "offset": (dict(offset=1, size=(2, 3), stride=(3, 1)), BEYOND.format([2, 3], [3, 1], 1)),
    "size": (dict(offset=0, size=(7,), stride=(1,)), BEYOND.format([7], [1], 0)),
    "stride": (dict(offset=0, size=(2,), stride=(6,)), BEYOND.format([2], [6], 0)),
    "stride 0": (
        dict(offset=0, size=(2**31 - 1,), stride=(0,)),
        BEYOND.format([2**31 - 1], [0], 0),
    ),
    "empty": (dict(offset=7, size=(0,), stride=(1,)), BEYOND.format([0], [1], 7)),
    "huge": (dict(offset=0, size=(2**40,), stride=(0,)), "'w': a size that no array has"),
    "huge, empty": (
        dict(offset=0, size=(0, 2**30, 2**30), stride=(1, 1, 1)),
        "'w': a size that no array has",
    ),
    "negative size": (dict(offset=0, size=(-1,), stride=(1,)), "'w': a size that no array has"),
    "rank": (dict(offset=0, size=(1,) * 33, stride=(1,) * 33), "'w': a size that no array has"),
    "text": (dict(offset=0, size="abc", stride=(1,)), "'w': a size that no array has"),
    "negative stride": (
        dict(offset=5, size=(6,), stride=(-1,)),
        "'w': stride and offset must be numbers from 0",
    ),
    "negative offset": (
        dict(offset=-1, size=(2,), stride=(1,)),
        "'w': stride and offset must be numbers from 0",
    ),
    "strides": (dict(offset=0, size=(2,), stride=(1, 1)), "'w': stride must have 1 numbers"),
    "numel": (
        dict(offset=0, size=(2,), stride=(1,), numel=7),
        "'w': storage '0' (=24 bytes) must be 28 bytes: 7 elements of float32",
    ),
    "absurd numel": (
        dict(offset=0, size=(2,), stride=(1,), numel=2**60),
        f"'w': storage '0' (=24 bytes) must be {2**62} bytes: {2**60} elements of float32",
    ),
}
# What the legacy form, which counts elements and not bytes, says in its own way.
ZIP_ONLY = {
    "kind": (
        dict(offset=0, size=(2,), stride=(1,), kind=torch.DoubleStorage),
        "'w': storage '0' (=24 bytes) must be 48 bytes: 6 elements of float64",
    ),
    "key": (
        dict(offset=0, size=(2,), stride=(1,), key="1"),
        "record 'data/1' is not in the archive",
    ),
    "path": (
        dict(offset=0, size=(2,), stride=(1,), key="../data/0"),
        "record 'data/../data/0' is not in the archive",
    ),
    "negative numel": (
        dict(offset=0, size=(0,), stride=(1,), numel=-1),
        "storage '0': numel (=-1) must be at least 0",
    ),
    "long key": (
        dict(offset=0, size=(0,), stride=(1,), key="k" * 99),
        "a key must have at most 80 letters",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", OUTSIDE)
def test_outside_of_the_storage(case, form):
    arguments, message = OUTSIDE[case]
    assert refusal(FORMS[form](crafted(**arguments))) == message


@pytest.mark.parametrize("case", ZIP_ONLY)
def test_storages_that_are_none(case):
    arguments, message = ZIP_ONLY[case]
    assert refusal(zipped(crafted(**arguments))).endswith(message)


def test_a_stride_beside_size_1_means_nothing():
    data = zipped(crafted(0, (1, 6), (10**30, 1)))
    # 10³⁰ would reach beyond any storage if it counted.
    np.testing.assert_array_equal(read(data).entries[""]["w"], [range(6)])


def test_parts_of_legacy_storages():
    data = legacy(crafted(1, (2,), (1,), part=(("view", 2, 3),)))
    np.testing.assert_array_equal(read(data).entries[""]["w"], [3, 4])
    assert "reach beyond the storage of 3" in refusal(
        legacy(crafted(2, (2,), (1,), part=(("view", 2, 3),)))
    )
    assert "a part outside of it" in refusal(legacy(crafted(0, (1,), (1,), part=(("v", 4, 3),))))


def test_bools_are_0_or_1():
    data = zipped(crafted(0, (3,), (1,), numel=3, kind=torch.BoolStorage), {"data/0": b"\0\1\2"})
    assert refusal(data) == "'w': a bool that is neither 0 nor 1"


# ── Archives ─────────────────────────────────────────────────────────────────────────────────────


def test_compressed():
    bomb = {"data/0": bytes(16 << 20)}
    data = zipped(crafted(0, (4 << 20,), (1,), 4 << 20), bomb, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 1 << 17
    message = "record '{}' is compressed, which PyTorch never does"
    assert refusal(data) == message.format("data.pkl")


def entry_of(data: bytes, name: str) -> int:
    """Return where the directory tells of a record."""
    return data.rindex(name.encode()) - 46


def test_encrypted():
    data = bytearray(zipped(pickled(ARRAYS)))
    data[entry_of(data, "archive/data/0") + 8] |= 1
    assert refusal(bytes(data)) == "record 'data/0' is encrypted"


def test_overlapping():
    """Two names for the same bytes: the archive would be many times its own size."""
    data = bytearray(zipped(pickled(ARRAYS), RECORDS | {"data/1": RECORDS["data/0"]}))
    first, second = (entry_of(data, f"archive/data/{i}") for i in (0, 1))
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    assert refusal(bytes(data)) == "record 'data/1' does not lie in a place of its own"


def test_two_of_one_name():
    data = zipped(pickled(ARRAYS), RECORDS | {"data/1": RECORDS["data/0"]})
    data = data.replace(b"archive/data/1", b"archive/data/0")
    assert refusal(data) == "archive has two records of one name"


def test_two_folders():
    data = zipped(pickled(ARRAYS), RECORDS).replace(b"archive/data/0", b"brchive/data/0")
    assert refusal(data) == "archive must have one top folder, not 'archive', 'brchive'"


def test_damaged_values_are_noticed():
    data = bytearray(zipped(pickled(ARRAYS)))
    data[data.index(RECORDS["data/0"]) + 5] ^= 4
    assert refusal(bytes(data)) == "record 'data/0' is damaged: its checksum does not fit"


def test_checksums_may_be_spared():
    torch.serialization.set_crc32_options(False)
    try:
        file = io.BytesIO()
        torch.save({"w": torch.ones(2)}, file)
    finally:
        torch.serialization.set_crc32_options(True)
    np.testing.assert_array_equal(read(file.getvalue()).entries[""]["w"], [1, 1])


def test_unknown_byte_order():
    assert refusal(zipped(pickled(ARRAYS), RECORDS | {"byteorder": b"middle"})) == (
        "byteorder (=b'middle') must be little or big"
    )


LEGACY = {
    "protocol": (pickle.dumps(PROTOCOL, 2), pickle.dumps(7, 2), "protocol (='7') must be 1001"),
    "keys": (pickle.dumps(["0"], 2), pickle.dumps("0", 2), "the list of storages is damaged"),
    "unknown key": (pickle.dumps(["0"], 2), pickle.dumps(["1"], 2), "storage '1' is unknown"),
    "no key": (pickle.dumps(["0"], 2), pickle.dumps([], 2), "storage '0' is not in the file"),
    "count": (
        struct.pack("<q", 6), struct.pack("<q", 2**40),
        f"truncated: storage '0' has {2**40} elements of 4 bytes, and 24 bytes follow",
    ),
    "negative count": (
        struct.pack("<q", 6), struct.pack("<q", -1),
        "truncated: storage '0' has -1 elements of 4 bytes, and 24 bytes follow",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LEGACY)
def test_legacy_lists(case):
    old, new, message = LEGACY[case]
    data = legacy(pickled(ARRAYS))
    assert data.count(old) == 1
    assert refusal(data.replace(old, new)) == message


# ── Damage anywhere ──────────────────────────────────────────────────────────────────────────────


def whole(form: str) -> bytes:
    file = io.BytesIO()
    value = {
        "state_dict": {"a": torch.randn(3, 4), "b": torch.ones(3).bfloat16(), "c": torch.tensor(3)},
        "best": np.float32(3.0),
        "mean": np.arange(3.0),
        "epoch": 3,
    }
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_truncated_anywhere(form):
    data = whole(form)
    for length in range(64, len(data), 7):
        with pytest.raises(DAMAGE):
            read(data[:length])


@pytest.mark.parametrize("form", FORMS)
def test_flipped_bits(form, rng):
    data = whole(form)
    refused = 0
    for position in rng.integers(0, len(data) * 8, 1500):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        try:
            FORMAT.matches(memoryview(damaged))
            FORMAT.read(memoryview(damaged))
        except DAMAGE:
            refused += 1
    assert refused > 100
