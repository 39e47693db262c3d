"""Damaged files of every format: each is read or refused with a WeightsError, and nothing else.

    python tests/fuzz.py --cases 2000 --seed 0 --json FILE      # so many cases of each format
    python tests/fuzz.py --format npz --seed 0 --first 123 --cases 1 --keep case.npz

A case is made from (seed, format, number) alone. Cases run in a child process whose memory is
limited and in which warnings are errors; one that takes too long is ended, and one that crashes or
hangs the interpreter is found by its number, after which the child is started again.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import io
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from pathlib import Path

import numpy as np

from weights.formats import FORMATS
from weights.formats.protobuf import bytes_field, integer, integer_field
from zoo.errors import WeightsError

SECONDS = 2.0
"""A case may take so long, and the interpreter may be deaf to signals for so long beyond it."""
MEMORY = 1 << 30
"""Bytes of address space beyond what the child has when it starts."""
EXTREMES = [0, 1, *(sign * (1 << bits) + near for bits in (7, 15, 16, 31, 32, 40, 62, 63)
                    for sign in (1, -1) for near in (-1, 0, 1))]  # fmt: skip
TOKENS = [
    b"cos\nsystem\n", b"c__builtin__\neval\n", b"(", b")", b"R", b"\x81", b"b", b"}", b"]", b"a",
    b"e", b"u", b"s", b"Q", b"0", b"2", b"h\x00", b"\x8b\xff\xff\xff\x7f", b"\x8a\xff", b"\x94",
    b"\x8d" + b"\xff" * 7 + b"\x7f", b"{", b'"', b"[" * 200, b"'|O'", b"'<f8'", b"True", b"nan",
    b"1e999", b"\xff" * 9 + b"\x01", b"\xff" * 11, b"\x0a\x00", b"\x08\x00", b"\x12\x80\x80\x04",
    b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"\x93NUMPY", b"crc_num",
    b"\x00" * 64,
]  # fmt: skip


class TooSlow(BaseException):
    """A case took too long: no `Exception`, which a reader might catch."""


def samples() -> dict[str, list[bytes]]:
    """Return small valid files of each format, made without a framework."""
    rng = np.random.default_rng(0)
    arrays = {
        "stem.weight": rng.standard_normal((2, 3, 3)).astype(np.float32),
        "stem.bias": np.arange(5.0),
        "steps": np.array(7),
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 2), np.float32),
    }
    found: dict[str, list[bytes]] = {}
    for name, entry in FORMATS.items():
        for metadata in ({}, {"model": "shufflenet_v1", "data": "é"}):
            file = io.BytesIO()
            entry.write(file, arrays, metadata)
            found.setdefault(name, []).append(file.getvalue())
    compressed = io.BytesIO()
    np.savez_compressed(compressed, **arrays, text=np.array(["a"]), order=np.ones((2, 3)).T)
    found["npz"].append(compressed.getvalue())
    ckpt = found["mindspore"][0]
    text = bytes_field(1, bytes_field(1, b"s") + bytes_field(2, _tensor(b"str", "hé", 0)))
    found["mindspore"].append(_with_crc(ckpt + text))
    typed = integer_field(1, 4) + integer_field(2, 7) + bytes_field(8, b"typed")
    typed += bytes_field(7, b"".join(map(integer, (1, -1, 1 << 40, 0))))
    model = integer_field(1, 8) + bytes_field(7, bytes_field(1, b"") + bytes_field(5, typed))
    found["onnx"].append(model)
    return found


def _tensor(type: bytes, text: str, *dims: int) -> bytes:
    shape = b"".join(integer_field(1, dim) for dim in dims)
    return shape + bytes_field(2, type) + bytes_field(3, text.encode("utf-32-le"))


def _with_crc(records: bytes) -> bytes:
    return records + b"crc_num" + zlib.crc32(records).to_bytes(10, "big")


def torch_samples() -> list[bytes]:
    """Return files that PyTorch itself wrote; the caller has it."""
    import torch

    state = {
        "w": torch.arange(6.0).reshape(2, 3),
        "h": torch.ones(2).bfloat16(),
        "i": torch.ones(1),
    }
    found = []
    for content in (state, {"state_dict": state, "epoch": 3, "args": ["a", None, (1.5, {2})]}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            found.append(file.getvalue())
    return found


def case(name: str, valid: list[bytes], seed: int, number: int) -> bytes:
    """Return the damaged file of a number: some valid one, changed once or a few times."""
    rng = random.Random(f"{seed}:{name}:{number}")
    data = rng.choice(valid)
    if rng.random() < 0.4:  # past the checksums
        return _inside(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def _inside(data: bytes, rng: random.Random) -> bytes:
    """Change a file within the frame that guards it, and make the frame right again."""
    if data[:4] == b"PK\x03\x04":
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
            target = rng.choice(old.namelist())
            target = next((n for n in old.namelist() if n.endswith(".pkl")), target)
            method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            for member in old.namelist():
                content = old.read(member)
                if member == target:
                    content = rng.choice(MUTATIONS)(content, rng)
                new.writestr(member, content, method)
            new.comment = old.comment
        return changed.getvalue()
    if data[-17:-10] == b"crc_num":
        return _with_crc(rng.choice(MUTATIONS)(data[:-17], rng))
    size = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and size < len(data):
        header = rng.choice(MUTATIONS)(data[8 : 8 + size], rng)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    return rng.choice(MUTATIONS)(data, rng)


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _noise(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    new = rng.randbytes(rng.choice((1, 2, 4, 16, 64)))
    return data[:at] + new + data[at + len(new) :]


def _splice(data: bytes, rng: random.Random) -> bytes:
    start, stop, at = (rng.randrange(len(data) + 1) for _ in range(3))
    piece = data[min(start, stop) : max(start, stop)]
    return data[:at] + piece + data[at + rng.choice((0, len(piece))) :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64)) :]


def _extreme(data: bytes, rng: random.Random) -> bytes:
    value, at = rng.choice(EXTREMES), rng.randrange(len(data) + 1)
    order, size = rng.choice("<>"), rng.choice("BHIQ")
    raw = struct.pack(order + size, value & (1 << 8 * struct.calcsize(size)) - 1)
    raw = integer(value) if rng.random() < 0.3 else raw
    return data[:at] + raw + data[at + len(raw) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Put another number for a number in text: shapes and offsets of headers, counts of pickles."""
    places = list(re.finditer(rb"\d+", data))
    if not places:
        return _extreme(data, rng)
    place = rng.choice(places)
    value = rng.choice((*EXTREMES, 10**15, 10**30, 10**5000 if rng.random() < 0.02 else 9))
    text = str(value) if abs(value) < 10**4000 else "1" + "0" * 5000
    return data[: place.start()] + text.encode() + data[place.end() :]


def _token(data: bytes, rng: random.Random) -> bytes:
    token, at = rng.choice(TOKENS), rng.randrange(len(data) + 1)
    return data[:at] + token + data[at + rng.choice((0, len(token))) :]


def _random(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((2, 4, 8, 10, 16, 40))] + rng.randbytes(rng.randrange(200))


MUTATIONS = (
    _truncate, _flip, _flip, _noise, _splice, _remove, _extreme, _extreme, _number, _token, _random,
)  # fmt: skip


def examine(read, path: Path, seconds: float = SECONDS) -> tuple[str, str]:
    """Return "read", "refused" or "failed", and why."""

    def stop(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        read(path)
    except WeightsError as error:
        if "MemoryError" in str(error):
            return "failed", f"asks for more than {MEMORY} bytes: {error}"
        return "refused", str(error)
    except TooSlow:
        where = traceback.format_exc(limit=-3)
        return "failed", f"takes more than {seconds} s:\n{where}"
    except BaseException:
        return "failed", traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


def child(args: argparse.Namespace) -> None:
    """Run the cases of one format here, one line of JSON each; the number goes first, by itself."""
    module, function = args.read.split(":")
    read = getattr(importlib.import_module(module), function)
    folder = Path(args.samples)
    valid = [path.read_bytes() for path in sorted(folder.glob(f"{args.format}-*"))]
    path = folder / f"{args.format}.case"
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = _peak()
    for number in range(args.first, args.first + args.cases):
        path.write_bytes(case(args.format, valid, args.seed, number))
        print(number, flush=True)
        faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
        start = time.perf_counter()
        verdict, why = examine(read, path)
        spent = time.perf_counter() - start
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps([verdict, why, spent, _peak() - before >> 10]), flush=True)


def _peak() -> int:
    """Return the most memory this process had, in KiB; ru_maxrss would tell the parent's too."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def run(
    name: str, cases: int, seed: int = 0, first: int = 0, read: str = "weights.formats:read"
) -> dict:
    """Return what became of the cases of one format: counts, times and failures."""
    result: dict = {"cases": cases, "read": 0, "refused": 0, "failed": []}
    slowest, grown, start, stop = 0.0, 0, time.perf_counter(), first + cases
    with tempfile.TemporaryDirectory() as folder:
        valid = samples()[name]
        if name == "torch":
            valid += torch_samples()
        for i, data in enumerate(valid):
            Path(folder, f"{name}-{i:02}").write_bytes(data)
        while first < stop:
            command = [sys.executable, "-W", "error", __file__, "--child", "--format", name,
                       "--samples", folder, "--seed", str(seed), "--first", str(first),
                       "--cases", str(stop - first), "--read", read]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines()
            for number, line in zip(lines[::2], lines[1::2], strict=False):
                verdict, why, spent, growth = json.loads(line)
                slowest, grown = max(slowest, spent), max(grown, growth)
                if verdict == "failed":
                    result["failed"].append({"case": int(number), "seed": seed, "why": why})
                else:
                    result[verdict] += 1
            if not lines:
                raise RuntimeError(f"the fuzzer itself fails on {name}:\n{done.stderr}")
            first = int(lines[-1 - (len(lines) % 2 == 0)]) + 1
            if len(lines) % 2:
                why = (
                    f"ends the interpreter (exit status {done.returncode}):\n{done.stderr[-2000:]}"
                )
                result["failed"].append({"case": first - 1, "seed": seed, "why": why})
    result["seconds"] = round(time.perf_counter() - start, 2)
    result["slowest_ms"] = round(1e3 * slowest, 1)
    result["grown_mib"] = grown
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, help="one of them instead of all")
    parser.add_argument("--cases", type=int, default=2000, help="of each format")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--keep", type=Path, help="file for the bytes of the first case")
    parser.add_argument("--read", default="weights.formats:read", help=argparse.SUPPRESS)
    parser.add_argument("--samples", help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return 0
    if args.keep and args.format:
        valid = samples()[args.format] + (torch_samples() if args.format == "torch" else [])
        args.keep.write_bytes(case(args.format, valid, args.seed, args.first))
    results = {}
    for name in [args.format] if args.format else FORMATS:
        found = results[name] = run(name, args.cases, args.seed, args.first, args.read)
        print(f"{name:12} {args.cases} cases: {found['read']} read, {found['refused']} refused, "
              f"{len(found['failed'])} failed; {found['seconds']} s, slowest "
              f"{found['slowest_ms']} ms, memory +{found['grown_mib']} MiB")  # fmt: skip
        for failure in found["failed"][:10]:
            print(f"  case {failure['case']}, seed {failure['seed']}: {failure['why']}")
    if args.json:
        args.json.write_text(json.dumps({"seed": args.seed, "formats": results}, indent=1) + "\n")
    return int(any(found["failed"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
