"""Writers that are killed while they write, again and again.

Run by tests/test_files.py and benchmarks/kills.py:

    python tests/killed_writers.py FOLDER KILLS [WRITER ...]

A process that has imported everything forks, so that a new start takes no seconds, and kills its
child at a random moment between the first and the last sign of something unfinished. After each
kill the destination has to be the old file or the new one; after all of them one writer is left
alone, and whatever else then lies about is counted.
"""

import contextlib
import fnmatch
import hashlib
import http.server
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import filelock  # noqa: F401  (imported before the fork, as are those below)
import numpy as np
import onnxruntime.quantization  # noqa: F401
import requests  # noqa: F401
from PIL import Image

import zoo
from weights import pretrained, randomize

SMALL = dict(num_classes=10, image_size=32)
OLD = b"what was there before"
CONTENT = np.random.default_rng(0).bytes(1 << 20)

# Each makes what it needs in a folder, and returns (destination, what writes it).
Made = tuple[Path, Callable[[], object]]


def saves(folder: Path) -> Made:
    path = folder / "net.safetensors"
    model = zoo.create("shufflenet_v1_2.0x_g3", backend="numpy")
    return path, lambda: zoo.save(model, path, force=True)


def converts(folder: Path) -> Made:
    source, path = folder / "theirs.pth", folder / "ours.ckpt"
    zoo.save(zoo.create("shufflenet_v1_0.5x_g3", backend="numpy"), source)
    return path, lambda: zoo.convert(source, path, verify=None, force=True)


def exports(folder: Path) -> Made:
    path, spec = folder / "net.onnx", zoo.spec("shufflenet_v2_0.5x", **SMALL)
    return path, lambda: zoo.export(spec, path, force=True)


def quantizes(folder: Path) -> Made:
    images, path = folder / "images", folder / "net.onnx"
    images.mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{i}.png")
    spec = zoo.spec("shufflenet_v2_0.5x", **SMALL)
    options = dict(calibration=images, exclude=(), force=True)
    return path, lambda: zoo.quantize(spec, path, weights=randomize(spec.graph), **options)


def downloads(folder: Path) -> Made:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["ZOO_CACHE"] = str(folder)
    os.environ["NO_PROXY"] = "127.0.0.1"
    entry = replace(
        pretrained.find("shufflenet_v1_1.0x_g3", "mindcv/imagenet1k"),
        url=f"http://127.0.0.1:{server.server_port}/net.ckpt",
        sha256=hashlib.sha256(CONTENT).hexdigest()[:8],
    )
    path = pretrained.cache_path(entry)
    path.parent.mkdir(parents=True)
    return path, lambda: pretrained.fetch(entry)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT` from any byte on, in pieces."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        try:
            for first in range(start, len(CONTENT), 1 << 16):
                self.wfile.write(CONTENT[first : first + (1 << 16)])
                time.sleep(0.002)
        except ConnectionError:
            pass  # killed

    def log_message(self, *_: object) -> None:
        pass


WRITERS = {
    "convert": converts,
    "save": saves,
    "export": exports,
    "quantize": quantizes,
    "download": downloads,
}


def started(write: Callable[[], object]) -> int:
    """Return the process that writes."""
    child = os.fork()
    if child == 0:
        try:
            warnings.simplefilter("ignore")  # a damaged file in the cache is warned about
            write()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def unfinished(folder: Path) -> set[tuple[str, int]]:
    """Return the names and times of what is no finished file."""
    found = set()
    # os.walk bears what is removed while it looks; rglob raises.
    for inside, _, files in os.walk(folder):
        for name in fnmatch.filter(files, "*.part"):
            with contextlib.suppress(FileNotFoundError):
                found.add((name, os.stat(Path(inside, name)).st_mtime_ns))
    return found


def run(write: Callable[[], object], folder: Path, delay: float | None) -> tuple[bool, bool, float]:
    """Write, and be killed so many seconds after something unfinished is seen first.

    Returns:
        (whether it was killed, whether it left something unfinished, seconds from then until
        nothing unfinished is seen any more).
    """
    before = unfinished(folder)
    child = started(write)
    first = last = 0.0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0 or os.WIFSIGNALED(status)
            return os.WIFSIGNALED(status), bool(unfinished(folder) - before), last - first
        now = time.monotonic()
        if unfinished(folder) - before:
            first, last = first or now, now
        if first and delay is not None and now - first >= delay:
            os.kill(child, signal.SIGKILL)
            delay = None
        time.sleep(0.0005)


def kill(writer: str, folder: Path, kills: int) -> dict[str, int]:
    """Kill a writer so often, then let it end.

    Returns:
        kills, those of them that left something unfinished, destinations that were neither the old
        file nor the new one, and files that are left when all is done.
    """
    folder.mkdir()
    temporary = folder / "tmp"
    temporary.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    path, write = WRITERS[writer](folder)
    *_, span = run(write, folder, None)
    new, whole = path.read_bytes(), set(folder.rglob("*"))
    draw = random.Random(0)
    done = hits = broken = 0
    while done < kills:
        path.write_bytes(OLD)
        killed, hit, _ = run(write, folder, draw.uniform(0, span))
        done += killed
        hits += killed and hit
        # A download removes the damaged file before it fetches another.
        if path.exists() or writer != "download":
            broken += path.read_bytes() not in (OLD, new)
    assert run(write, folder, None)[:2] == (False, False)
    assert path.read_bytes() == new
    left = [str(found) for found in set(folder.rglob("*")) - whole]
    return {"kills": done, "hits": hits, "broken": broken, "left": len(left)}


def main(folder: Path, kills: int, writers: list[str]) -> None:
    """Print what became of each writer, a line as soon as it is known."""
    for name in writers or WRITERS:
        print(json.dumps({name: kill(name, folder / name, kills)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
