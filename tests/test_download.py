"""Published weights are fetched: the downloader against a server of our own.

Nothing here leaves 127.0.0.1: that the publishers' real addresses answer is not tested.
"""

from __future__ import annotations

import hashlib
import http.server
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from weights import pretrained
from weights.pretrained import download, transfer

ROOT = Path(__file__).parents[1]
CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
HALF = len(CONTENT) // 2


# The server: each request takes the next behavior of the script, the last one for ever.


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        with server.turn:
            asked = self.headers.get("Range")
            server.requests.append((self.path, asked))
            behave = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        with suppress(ConnectionError):  # a client that has turned away
            behave(self, server.content, int(asked[6:-1]) if asked else None)

    def head(self, status, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *args):
        pass


def ranged(h, content, start, end=None):
    """Serve properly, but only up to `end`."""
    if start is None:
        h.head(200, len(content))
    elif start >= len(content):
        return h.head(416, 0)
    else:
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        h.head(206, len(content) - start, Content_Range=span)
    h.wfile.write(content[start or 0 : end])


def rangeless(h, content, start):
    h.head(200, len(content))
    h.wfile.write(content)


def breaking(h, content, start):
    """Reset the connection at the file's middle, once the client has written some of it."""
    ranged(h, content, start, HALF)
    wait_for_part()  # what is still on its way is lost with the connection
    h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def truncating(h, content, start):
    ranged(h, content, start, HALF)


def hanging(h, content, start):
    ranged(h, content, start, HALF)
    h.wfile.flush()
    h.server.reached.set()
    h.server.release.wait(20)
    h.wfile.write(content[HALF:])


def mute(h, content, start):
    h.server.release.wait(20)


def shifted(h, content, start):
    """Answer with another range than was asked for."""
    h.head(206, 10, Content_Range=f"bytes 0-9/{len(content)}")
    h.wfile.write(content[:10])


def chunked(h, content, start):
    """Serve without telling the length: the connection's end is the file's."""
    h.head(200, None)
    h.wfile.write(content)


def pieces(h, content, start):
    """Serve in chunks of HTTP's own, none of them as large as what is read at once."""
    h.protocol_version = "HTTP/1.1"
    h.head(200, None, Transfer_Encoding="chunked", Connection="close")
    h.close_connection = True
    for first in range(0, len(content), 50_000):
        piece = content[first : first + 50_000]
        h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    h.wfile.write(b"0\r\n\r\n")


def dripping(h, content, start):
    """Serve a few bytes, and no more until the client says so."""
    h.head(200, len(content))
    h.wfile.write(content[:100])
    h.wfile.flush()
    h.server.release.wait(20)
    h.wfile.write(content[100:])


def zipped(h, content, start):
    h.head(200, len(content), Content_Encoding="gzip")
    h.wfile.write(content)


def status(code):
    return lambda h, content, start: h.head(code, 0)


def changed(content, then=ranged):
    """From now on another file is served."""

    def behave(h, _, start):
        h.server.content = content
        then(h, content, start)

    return behave


@contextmanager
def serving(*script, content=CONTENT):
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False  # joined by server_close
        address_family = socket.AF_INET

    server = Server(("127.0.0.1", 0), Handler)
    server.script, server.content, server.requests = list(script), content, []
    server.turn, server.reached, server.release = (
        threading.Lock(),
        threading.Event(),
        threading.Event(),
    )
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def ranges(server):
    return [asked for _, asked in server.requests]


def entry(server=None, content=CONTENT, **fields):
    url = server.url if server else "https://weights.invalid"
    return replace(
        pretrained.find("shufflenet_v1_1.0x_g3", "mindcv/imagenet1k"),
        url=f"{url}/toolkits/weights.ckpt",
        sha256=hashlib.sha256(content).hexdigest()[:8],
        **fields,
    )


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    for name in ("ZOO_OFFLINE", "ZOO_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0, 0.0))


def cached_files():
    folder = Path(os.environ["ZOO_CACHE"])
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def wait_for_part():
    folder = Path(os.environ["ZOO_CACHE"])
    for _ in range(1000):
        if any(part.stat().st_size for part in folder.rglob("*.part")):
            return
        time.sleep(0.01)
    raise AssertionError("no bytes have arrived in 10 s")


def put(wanted, content, suffix=""):
    path = pretrained.cache_path(wanted)
    path = path.with_name(path.name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# Downloads that end well


@pytest.mark.parametrize("known_size", [False, True])
@pytest.mark.parametrize("behavior", [ranged, rangeless, chunked, pieces])
def test_a_file_is_downloaded_once(behavior, known_size):
    with serving(behavior) as server:
        wanted = entry(server, size=len(CONTENT) if known_size else None)
        path = pretrained.fetch(wanted)
        assert path == pretrained.cache_path(wanted)
        assert path.read_bytes() == CONTENT
        assert pretrained.fetch(wanted) == path
    assert ranges(server) == [None]
    assert cached_files() == ["weights.ckpt", "weights.ckpt.sha256"]


@pytest.mark.parametrize("behavior", [breaking, truncating])
def test_a_broken_connection_is_taken_up_where_it_broke(behavior):
    with serving(behavior, ranged) as server:
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    first, second = ranges(server)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= HALF


def test_a_later_call_carries_on(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", ())
    with serving(truncating, ranged) as server:
        with pytest.raises(zoo.WeightsError, match=r"truncated: it broke off at \d+ of 300000"):
            pretrained.fetch(entry(server))
        assert cached_files() == ["weights.ckpt.part"]
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert ranges(server)[1].startswith("bytes=")
    assert cached_files() == ["weights.ckpt", "weights.ckpt.sha256"]


@pytest.mark.parametrize(
    ("script", "part", "requests"),
    [
        ([rangeless], CONTENT[:1000], ["bytes=1000-"]),
        ([ranged], OTHER[:1000], ["bytes=1000-", None]),
        ([ranged], CONTENT + b"more", ["bytes=300004-", None]),
        ([ranged], CONTENT, []),  # stopped before the new name
        ([ranged], b"", [None]),
        ([status(500), ranged], CONTENT[:1000], ["bytes=1000-", "bytes=1000-"]),
    ],
    ids=["no ranges", "other file", "too long (416)", "whole", "empty", "500"],
)
def test_what_an_earlier_process_left(script, part, requests):
    with serving(*script) as server:
        put(entry(server), part, ".part")
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert ranges(server) == requests


@pytest.mark.parametrize("refusal", [shifted, status(416)])
def test_a_refused_range_costs_no_attempt(refusal, monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", ())
    with serving(refusal, ranged) as server:
        put(entry(server), CONTENT[:1000], ".part")
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


@pytest.mark.parametrize("after", [OTHER, OTHER[:1000]], ids=["as long", "shorter"])
def test_a_file_that_changes_on_the_way_is_started_over(after):
    with serving(truncating, changed(after)) as server:
        assert pretrained.fetch(entry(server, after)).read_bytes() == after
    first, second, third = ranges(server)
    assert (first, third) == (None, None)
    assert second is not None


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_passing_error_is_tried_again(code):
    with serving(status(code), status(code), ranged) as server:
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_the_mirror(monkeypatch):
    with serving(ranged) as server:
        monkeypatch.setenv("ZOO_MIRROR", f"{server.url}/some/path/")
        wanted = entry()
        assert pretrained.fetch(wanted).read_bytes() == CONTENT
        asked = replace(wanted, url=wanted.url + "?version=1", tag="other/tag")
        assert pretrained.fetch(asked).read_bytes() == CONTENT
    path = "/some/path/toolkits/weights.ckpt"
    assert [asked for asked, _ in server.requests] == [path, path + "?version=1"]


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "elsewhere"))
    expected = tmp_path / "elsewhere" / "mindcv" / "imagenet1k" / "weights.ckpt"
    assert pretrained.cache_path(entry()) == expected
    with serving(ranged) as server:
        assert pretrained.fetch(entry(server)) == expected
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert "parity-zoo" in pretrained.cache_path(entry()).parts


def test_progress(capsys):
    with serving(ranged) as server:
        pretrained.fetch(entry(server), progress=True)
    assert "weights.ckpt" in capsys.readouterr().err


# Failures: one line that names the address, the reason and what to do; nothing in place


def refuse(wanted, *parts):
    with pytest.raises(zoo.WeightsError) as error:
        pretrained.fetch(wanted)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert not pretrained.cache_path(wanted).exists()
    return message


@pytest.mark.parametrize("code", [404, 403, 410])
def test_a_missing_file_is_not_asked_for_again(code):
    with serving(status(code)) as server:
        wanted = entry(server)
        refuse(wanted, wanted.url, f"HTTP {code}", "ZOO_MIRROR", str(pretrained.cache_path(wanted)))
    assert len(server.requests) == 1


def test_a_lasting_error_ends_after_four_attempts():
    with serving(status(500)) as server:
        refuse(entry(server), "HTTP 500 Internal Server Error (in 4 attempts)")
    assert len(server.requests) == 4


@pytest.mark.parametrize("behavior", [ranged, chunked])
def test_corrupt_bytes(behavior):
    corrupt = CONTENT[:1000] + bytes([CONTENT[1000] ^ 1]) + CONTENT[1001:]
    with serving(behavior, content=corrupt) as server:
        found = hashlib.sha256(corrupt).hexdigest()
        wanted = entry(server)
        refuse(wanted, wanted.url, f"sha256 (={found}) must start with {wanted.sha256}", "nothing")
    assert cached_files() == []
    assert len(server.requests) == 1


def test_a_lasting_truncation():
    with serving(truncating) as server:
        refuse(entry(server), "truncated: it broke off at", "of 300000 bytes (in 4 attempts)")


@pytest.mark.parametrize(("behavior", "asked"), [(ranged, "300000"), (chunked, "")])
def test_too_large(behavior, asked):
    with serving(behavior) as server:
        refuse(entry(server, size=100_000), f"size (={asked}", "must be at most 100000")
    assert len(server.requests) == 1
    assert all(p.stat().st_size == 0 for p in Path(os.environ["ZOO_CACHE"]).rglob("*.part"))


def test_a_file_of_unknown_size_has_a_bound(monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 100_000)
    with serving(ranged) as server:
        refuse(entry(server), "size (=300000 bytes or more) must be at most 100000")


def test_less_than_a_chunk_is_progress():
    """What has come is on the disk while the rest is awaited."""
    with serving(dripping) as server:
        told = []

        def tick(done, total):
            told.append((done, total))
            server.release.set()

        part = Path(os.environ["ZOO_CACHE"])
        transfer.transfer(server.url, part, hashlib.sha256(CONTENT).hexdigest(), 1 << 20, tick)
    assert told[0] == (100, len(CONTENT))


def test_what_comes_too_slowly_is_given_up(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", (0.0,))
    with serving(ranged) as server:
        now = itertools.count(0.0, 1000.0)
        monkeypatch.setattr(transfer, "clock", lambda: next(now))
        refuse(entry(server), "rate (=", " bytes/s) must be at least 1024 (in 2 attempts)")
        monkeypatch.setattr(transfer, "clock", lambda: 0.0)
        pretrained.fetch(entry(server))
    assert ranges(server)[0] is None
    assert None not in ranges(server)[1:]  # what came slowly is kept


def test_what_is_compressed_unasked_is_refused_at_once():
    with serving(zipped) as server:
        refuse(entry(server), "comes as 'gzip', which was not asked for")
    assert len(server.requests) == 1


def test_a_password_of_the_mirror_is_not_told(monkeypatch):
    with serving(status(404)) as server:
        monkeypatch.setenv("ZOO_MIRROR", server.url.replace("//", "//user:secret@"))
        message = refuse(entry(), f"{server.url}/toolkits/weights.ckpt: HTTP 404")
        assert "secret" not in message
    monkeypatch.setenv("ZOO_MIRROR", "https://user:sec/ret@host/?query")
    assert "ret@" not in refuse(entry(), "ZOO_MIRROR (='host/?query')")


def test_a_hanging_server_is_given_up(monkeypatch):
    monkeypatch.setattr(transfer, "READ_SECONDS", 0.1)
    monkeypatch.setattr(transfer, "PAUSES", (0.0,))
    with serving(mute) as server:
        refuse(entry(server), "cannot be reached", "timed out", "(in 2 attempts)")
    with serving(hanging) as server:
        refuse(entry(server), "broke off", "(in 2 attempts)")


def test_unreachable():
    with serving(ranged) as server:
        wanted = entry(server)
    refuse(wanted, wanted.url, "cannot be reached", "Connection refused", "ZOO_MIRROR")


def test_a_mirror_that_is_none(monkeypatch):
    for mirror in ("host", "ftp://host", "https://", "https://host/?query"):
        monkeypatch.setenv("ZOO_MIRROR", mirror)
        refuse(entry(), f"ZOO_MIRROR (={mirror!r}) must be like 'https://host/path'")


def test_a_cache_that_can_not_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with serving(ranged) as server:
        refuse(entry(server), str(tmp_path / "file"), "Not a directory", "ZOO_CACHE")
    assert server.requests == []


# Offline and damage


def test_offline(monkeypatch):
    with serving(ranged) as server:
        wanted = entry(server)
        monkeypatch.setenv("ZOO_OFFLINE", "1")
        path = pretrained.cache_path(wanted)
        refuse(wanted, f"{path}: not in the cache", "ZOO_OFFLINE", wanted.url)
        put(wanted, CONTENT)
        assert pretrained.fetch(wanted).read_bytes() == CONTENT
        put(wanted, OTHER)
        with pytest.raises(zoo.WeightsError, match=r"damaged: sha256 \(=[0-9a-f]{64}\) must start"):
            pretrained.fetch(wanted)
        assert path.read_bytes() == OTHER
        assert server.requests == []
        monkeypatch.setenv("ZOO_OFFLINE", "0")
        with pytest.warns(UserWarning, match="fetched again"):
            pretrained.fetch(wanted)


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", OTHER], ids=["short", "empty", "other"])
def test_a_damaged_cached_file_is_fetched_again(damage):
    with serving(ranged) as server:
        put(entry(server), damage)
        found = hashlib.sha256(damage).hexdigest()
        with pytest.warns(UserWarning, match=rf"damaged: sha256 \(={found}\).*; fetched again"):
            path = pretrained.fetch(entry(server))
        assert path.read_bytes() == CONTENT
        pretrained.fetch(entry(server))
    assert ranges(server) == [None]


# Processes


PROGRAM = """
import sys
from dataclasses import replace
from weights import pretrained
found = pretrained.find("shufflenet_v1_1.0x_g3", "mindcv/imagenet1k")
entry = replace(found, url=sys.argv[1], sha256=sys.argv[2])
import filelock, platformdirs, requests
print("ready", flush=True)
print(pretrained.fetch(entry))
"""


@contextmanager
def process(server):
    wanted = entry(server)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, wanted.url, wanted.sha256],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def test_two_processes_download_a_file_once():
    with (
        serving(hanging, ranged) as server,
        process(server) as first,
        process(server) as second,
    ):
        assert server.reached.wait(60)  # one is halfway through
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.3)
        assert first.poll() is None
        server.release.set()
        for child in (first, second):
            output, errors = child.communicate(timeout=60)
            assert child.returncode == 0, errors
            assert Path(output.strip()).read_bytes() == CONTENT
    assert ranges(server) == [None]
    assert cached_files() == ["weights.ckpt", "weights.ckpt.sha256"]


def test_a_killed_process_holds_nothing_up():
    with serving(hanging, ranged) as server:
        with process(server) as child:
            assert server.reached.wait(60)
            wait_for_part()
            child.kill()
            child.wait(60)
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert ranges(server)[1].startswith("bytes=")


def test_a_lock_held_too_long_is_told(monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(download, "LOCK_SECONDS", 0.1)
    wanted = entry()
    put(wanted, b"", ".part")
    with FileLock(f"{pretrained.cache_path(wanted)}.lock"):
        refuse(wanted, "another process has been fetching it for 0.1 s")


def test_importing_loads_none_of_the_network():
    program = (
        "import sys, weights.pretrained; "
        "print({'platformdirs', 'requests', 'filelock', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"


# Hashes: the publisher's first digits, then the whole one of what came first


def test_a_file_has_to_be_the_one_that_came_first():
    with serving(ranged) as server:
        wanted = entry(server)
        short = replace(wanted, sha256=wanted.sha256[:8])
        path = pretrained.fetch(short)
        kept = path.with_name(f"{path.name}.sha256")
        assert kept.read_text().strip() == hashlib.sha256(CONTENT).hexdigest()
        # As if another file with the same eight digits had come first.
        first = short.sha256 + "0" * 56
        kept.write_text(first)
        message = rf"must be {first}; the file is another than the one that came first, or"
        with (
            pytest.warns(UserWarning, match="damaged"),
            pytest.raises(zoo.WeightsError, match=message),
        ):
            pretrained.fetch(short)
        assert cached_files() == ["weights.ckpt.sha256"]
        kept.write_text("no hash at all")  # or one of another file: the catalog's digits hold
        assert pretrained.fetch(short).read_bytes() == CONTENT


def test_what_was_asked_for_by_https_does_not_come_by_http(monkeypatch):
    import requests

    class Answer:
        history = (type("Step", (), {"url": "https://host/weights.ckpt"}),)
        url = "http://other/weights.ckpt"
        status_code = 200
        headers: dict[str, str] = {}  # noqa: RUF012

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        @property
        def raw(self):
            raise AssertionError("its content is read")

    monkeypatch.setattr(requests, "get", lambda *_, **__: Answer())
    with (
        serving(ranged) as server,
        pytest.raises(
            zoo.WeightsError, match=r"leads to http://other/weights\.ckpt, which is not encrypted"
        ),
    ):
        pretrained.fetch(entry(server))
    assert cached_files() == []


NETWORK = "shufflenet_v1_0.5x_g3"


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Weights in MindCV's names that are in the cache, and the catalog's entry of them."""
    import weights
    from weights.pretrained import store

    spec = zoo.spec(NETWORK, conventions="mindcv")
    given = weights.randomize(spec.graph, 3)
    file = tmp_path / "net.ckpt"
    weights.save_weights(file, spec, given, dialect="mindcv")
    known = next(e for e in pretrained.list_pretrained() if e.tag == "mindcv/imagenet1k")
    made = replace(
        known, model=NETWORK, tag="mindcv/imagenet1k", url="http://127.0.0.1:1/net.ckpt",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest()[:8], size=None, dialect="mindcv",
    )  # fmt: skip
    monkeypatch.setattr(store, "find", lambda *_: made)
    put(made, file.read_bytes())
    return made, given


def load():
    return pretrained.load_pretrained(NETWORK, "mindcv/imagenet1k").weights


def same(found, given):
    return all(np.array_equal(found[name], given[name]) for name in given)


def test_a_flipped_byte_in_our_copy_is_seen(published):
    made, given = published
    assert same(load(), given)
    copy = pretrained.cache_path(made).with_name("net-zoo.safetensors")
    data = bytearray(copy.read_bytes())
    data[-5] ^= 1
    copy.write_bytes(data)
    assert same(load(), given)
    assert copy.read_bytes() != bytes(data)  # made again
    copy.with_name(f"{copy.name}.sha256").unlink()
    assert same(load(), given)


def test_a_cache_that_can_be_read_only(published, monkeypatch):
    from weights.pretrained import store

    def refuse(*_, **__):
        raise zoo.OutputError("net-zoo.safetensors: cannot be written: Read-only file system")

    monkeypatch.setattr(store, "save_weights", refuse)
    _, given = published
    assert same(load(), given)
    assert cached_files() == ["net.ckpt"]
