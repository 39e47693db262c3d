"""Published weights: the catalogue's rules, and the downloader against a server of our own.

Nothing here leaves 127.0.0.1: that the publishers' real addresses answer is not tested.
"""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
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
from weights.pretrained import catalogue, download

ROOT = Path(__file__).parents[1]
CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
HALF = len(CONTENT) // 2


# The server: each request takes the next behaviour of the script, the last one for ever.


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
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))


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


# The catalogue


def of(publisher):
    """Return the entries of a publisher, of which there are some."""
    entries = [e for e in pretrained.list_pretrained() if e.dialect == publisher]
    assert entries
    return entries


@pytest.mark.parametrize("published", pretrained.list_pretrained(), ids=lambda e: e.file)
def test_entries(published):
    assert published.model in zoo.list_models()
    assert type(published.dialect) is str
    assert published.dialect
    assert len(published.sha256) >= 8
    assert int(published.sha256, 16) >= 0
    if published.packaged:
        assert pretrained.fetch(published).is_file()
    else:
        assert published.url.startswith("https://")
        assert published.source.startswith("https://")
        assert published.sha256 in published.url
    treatment = published.preprocessing
    assert all(0 <= value <= 1 for value in treatment.mean + treatment.std)
    assert treatment.value_range in (1.0, 255.0)
    assert treatment.crop <= treatment.resize
    assert treatment.crop == zoo.spec(published.model).image_size
    assert published.top1 is None or 0 < published.top1 < 100
    assert published.top5 is None or published.top1 < published.top5 < 100
    assert pretrained.find(published.model, published.tag) is published
    assert pretrained.is_tag(published.tag)


@pytest.mark.parametrize("module", ["shufflenetv1", "shufflenetv2"])
def test_mindcv_has_the_files_that_its_package_names(module):
    configs = importlib.import_module(f"mindcv.models.{module}").default_cfgs.values()
    entries = [e for e in of("mindcv") if f"/{module}/" in e.url]
    assert {e.url for e in entries} == {config["url"] for config in configs} - {""}


def test_mindcv_treats_pictures_as_the_entries_say():
    from mindcv.data import constants

    for published in of("mindcv"):
        treatment = published.preprocessing
        np.testing.assert_allclose(np.array(treatment.mean) * 255, constants.IMAGENET_DEFAULT_MEAN)
        np.testing.assert_allclose(np.array(treatment.std) * 255, constants.IMAGENET_DEFAULT_STD)
        assert treatment.resize == treatment.crop // constants.DEFAULT_CROP_PCT


def test_torchvision_says_of_its_files_what_the_entries_say():
    from torchvision.models import get_model_weights, list_models

    theirs = {}
    for name in list_models(include="shufflenet_v2_x*"):
        weights = get_model_weights(name).IMAGENET1K_V1
        theirs[f"shufflenet_v2_{name[-3:].replace('_', '.')}x"] = weights
    assert {e.model for e in of("torchvision")} == set(theirs)
    for published in of("torchvision"):
        weights = theirs[published.model]
        measured = weights.meta["_metrics"]["ImageNet-1K"]
        spec = zoo.spec(published.model, conventions=published.conventions)
        assert published.url == weights.url
        assert (published.top1, published.top5) == (measured["acc@1"], measured["acc@5"])
        assert weights.meta["num_params"] == zoo.cost(spec).params
        treatment, transforms = published.preprocessing, weights.transforms()
        assert [list(treatment.mean), list(treatment.std)] == [transforms.mean, transforms.std]
        assert [[treatment.resize], [treatment.crop]] == [
            transforms.resize_size,
            transforms.crop_size,
        ]
        assert treatment.interpolation == transforms.interpolation.value


def test_mmpretrain_says_of_its_files_what_the_entries_say():
    import yaml

    package = Path(importlib.util.find_spec("mmpretrain").origin).parent
    for published in of("mmpretrain"):
        folder = published.url.split("/")[-2]
        file = package / ".mim" / "configs" / folder / "metafile.yml"
        (theirs,) = yaml.safe_load(file.read_text())["Models"]
        measured = theirs["Results"][0]["Metrics"]
        assert published.url == theirs["Weights"]
        assert published.top1 == measured["Top 1 Accuracy"]
        assert published.top5 == measured["Top 5 Accuracy"]


def test_list_and_is_tag():
    everything = [entry for entry in pretrained.list_pretrained() if not entry.packaged]
    publishers = {
        "shufflenet_v1_0.5x_g3": ["mindcv"],
        "shufflenet_v1_1.0x_g3": ["mindcv", "mmpretrain"],
        "shufflenet_v2_0.5x": ["mindcv", "torchvision"],
        "shufflenet_v2_1.0x": ["mindcv", "mmpretrain", "torchvision"],
        "shufflenet_v2_1.5x": ["mindcv", "torchvision"],
        "shufflenet_v2_2.0x": ["mindcv", "torchvision"],
    }
    assert [(e.model, e.tag) for e in everything] == [
        (model, f"{publisher}/imagenet1k") for model, by in publishers.items() for publisher in by
    ]
    assert pretrained.list_pretrained("*v1_1.0x_g3") == everything[1:3]
    assert pretrained.list_pretrained("*g8") == []
    assert not pretrained.is_tag("weights.ckpt")


@pytest.mark.parametrize(
    ("model", "tag", "message"),
    [
        ("shufflenet_v1_1.0x_g3", "mindcv/imagenet", "unknown weights of shufflenet_v1_1.0x_g3 "
         "'mindcv/imagenet'; did you mean 'mindcv/imagenet1k'"),
        ("shufflenet_v1_1.0x_g3", "x", "unknown weights of shufflenet_v1_1.0x_g3 'x'; known: "
         "mindcv/imagenet1k, mmpretrain/imagenet1k"),
        ("shufflenet_v1_1.0x_g8", "mindcv/imagenet1k", "no weights are published for "
         "'shufflenet_v1_1.0x_g8'; there are some for shufflenet_v1_0.5x_g3, "
         "shufflenet_v1_1.0x_g3, shufflenet_v2_0.5x, shufflenet_v2_1.0x, shufflenet_v2_1.5x, "
         "shufflenet_v2_2.0x"),
        ("shufflenet_v1_1.0x_g33", "mindcv/imagenet1k", "unknown model 'shufflenet_v1_1.0x_g33'; "
         "did you mean"),
    ],
)  # fmt: skip
def test_find_names_what_there_is(model, tag, message):
    with pytest.raises(zoo.UnknownNameError) as error:
        pretrained.find(model, tag)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "the tag 'mindcv/imagenet1k' is taken"),
        ({"model": "other"}, "the file 'mindcv/imagenet1k/weights.ckpt' is taken"),
        ({"tag": "a/b", "url": "http://host/file"}, r"url \(='http://host/file'\) must be https"),
    ],
)
def test_entries_that_clash_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        catalogue._index([entry(), replace(entry(), **changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "1234567"}, r"sha256 \(='1234567'\) must be 8 to 64 lower-case hex digits"),
        ({"sha256": "1234567g"}, "must be 8 to 64"),
        ({"sha256": "1234567A"}, "must be 8 to 64"),
        ({"tag": "../b"}, "must be like 'publisher/dataset'"),
        ({"tag": "a/b/.."}, "must be like 'publisher/dataset'"),
        ({"tag": "a"}, "must be like 'publisher/dataset'"),
        ({"tag": "a/b", "url": "package:file"}, "must be like 'dataset'"),
        ({"url": "https://host/a/"}, "must end in the name of a file"),
        ({"url": "https://host/a/.."}, "must end in the name of a file"),
    ],
)
def test_malformed_entries_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(entry(), **changes)


# Downloads that end well


@pytest.mark.parametrize("known_size", [False, True])
@pytest.mark.parametrize("behaviour", [ranged, rangeless, chunked])
def test_a_file_is_downloaded_once(behaviour, known_size):
    with serving(behaviour) as server:
        wanted = entry(server, size=len(CONTENT) if known_size else None)
        path = pretrained.fetch(wanted)
        assert path == pretrained.cache_path(wanted)
        assert path.read_bytes() == CONTENT
        assert pretrained.fetch(wanted) == path
    assert ranges(server) == [None]
    assert cached_files() == ["weights.ckpt"]


@pytest.mark.parametrize("behaviour", [breaking, truncating])
def test_a_broken_connection_is_taken_up_where_it_broke(behaviour):
    with serving(behaviour, ranged) as server:
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    first, second = ranges(server)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= HALF


def test_a_later_call_carries_on(monkeypatch):
    monkeypatch.setattr(download, "PAUSES", ())
    with serving(truncating, ranged) as server:
        with pytest.raises(zoo.WeightsError, match=r"truncated: it broke off at \d+ of 300000"):
            pretrained.fetch(entry(server))
        assert cached_files() == ["weights.ckpt.part"]
        assert pretrained.fetch(entry(server)).read_bytes() == CONTENT
    assert ranges(server)[1].startswith("bytes=")
    assert cached_files() == ["weights.ckpt"]


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
    monkeypatch.setattr(download, "PAUSES", ())
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


@pytest.mark.parametrize("behaviour", [ranged, chunked])
def test_corrupt_bytes(behaviour):
    corrupt = CONTENT[:1000] + bytes([CONTENT[1000] ^ 1]) + CONTENT[1001:]
    with serving(behaviour, content=corrupt) as server:
        found = hashlib.sha256(corrupt).hexdigest()
        wanted = entry(server)
        refuse(wanted, wanted.url, f"sha256 (={found}) must start with {wanted.sha256}", "nothing")
    assert cached_files() == []
    assert len(server.requests) == 1


def test_a_lasting_truncation():
    with serving(truncating) as server:
        refuse(entry(server), "truncated: it broke off at", "of 300000 bytes (in 4 attempts)")


@pytest.mark.parametrize(("behaviour", "asked"), [(ranged, "300000"), (chunked, "")])
def test_too_large(behaviour, asked):
    with serving(behaviour) as server:
        refuse(entry(server, size=100_000), f"size (={asked}", "must be at most 100000")
    assert len(server.requests) == 1
    assert all(p.stat().st_size == 0 for p in Path(os.environ["ZOO_CACHE"]).rglob("*.part"))


def test_a_hanging_server_is_given_up(monkeypatch):
    monkeypatch.setattr(download, "READ_SECONDS", 0.1)
    monkeypatch.setattr(download, "PAUSES", (0.0,))
    with serving(mute) as server:
        refuse(entry(server), "can not be reached", "timed out", "(in 2 attempts)")
    with serving(hanging) as server:
        refuse(entry(server), "broke off", "(in 2 attempts)")


def test_unreachable():
    with serving(ranged) as server:
        wanted = entry(server)
    refuse(wanted, wanted.url, "can not be reached", "Connection refused", "ZOO_MIRROR")


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
entry = replace(pretrained.list_pretrained()[0], url=sys.argv[1], sha256=sys.argv[2])
import filelock, pooch, requests
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
        assert server.reached.wait(10)  # one is halfway through
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.3)
        assert first.poll() is None
        server.release.set()
        for child in (first, second):
            output, errors = child.communicate(timeout=10)
            assert child.returncode == 0, errors
            assert Path(output.strip()).read_bytes() == CONTENT
    assert ranges(server) == [None]
    assert cached_files() == ["weights.ckpt"]


def test_a_killed_process_holds_nothing_up():
    with serving(hanging, ranged) as server:
        with process(server) as child:
            assert server.reached.wait(10)
            wait_for_part()
            child.kill()
            child.wait(10)
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
        "print({'pooch', 'requests', 'filelock', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"
