"""Weights from the Hugging Face Hub and onto it, by its own client, on the loopback interface.

Nothing here leaves 127.0.0.1: that the hub itself answers is not tested.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hub_server import MODEL, REPO, SMALL, same, written

import zoo
from weights import address, formats, load_weights, pretrained
from weights.pretrained import catalog
from weights.pretrained.hub import choose


def test_the_usual_file_is_found_safetensors_first(hub_server, tmp_path):
    data, wanted = written(tmp_path)
    other, _ = written(tmp_path, "pytorch_model.bin", seed=1, format="torch")
    hub_server.commit(
        REPO, {"README.md": b"#", "pytorch_model.bin": other, "model.safetensors": data}
    )
    net = zoo.create(MODEL, backend="numpy", weights=f"hf-hub:{REPO}")
    assert same(zoo.get_weights(net), wanted)
    found = zoo.load_weights(f"hf-hub:{REPO}")
    assert found.notes[0] == f"from hf-hub:{REPO}"
    assert found.spec == SMALL
    assert same(zoo.get_weights(zoo.load(f"hf-hub:{REPO}", backend="numpy")), wanted)
    asked = [path for _, path in hub_server.requests]
    assert f"/{REPO}/resolve/main/model.safetensors" in asked
    assert not any("pytorch_model" in path for path in asked)


def test_a_file_and_a_revision_may_be_named_and_any_dialect_read(hub_server, tmp_path):
    spec = zoo.spec(MODEL, conventions="torchvision")
    old, wanted = written(tmp_path, "theirs.pth", dialect="torchvision", spec=spec)
    new, _ = written(tmp_path, seed=1)
    commit = hub_server.commit(REPO, {"old/theirs.pth": old}, "v1.0")
    hub_server.commit(REPO, {"model.safetensors": new})
    for revision in ("v1.0", commit):
        found = zoo.load_weights(f"hf-hub:{REPO}@{revision}/old/theirs.pth")
        assert found.dialect == "torchvision"
        assert same(found, wanted)
    assert same(zoo.load_weights(f"hf-hub:{REPO}@v1.0"), wanted)  # the one file that is there


def test_what_came_once_is_there_without_a_network(hub_server, monkeypatch, tmp_path):
    data, wanted = written(tmp_path)
    hub_server.commit(REPO, {"model.safetensors": data})
    load_weights(f"hf-hub:{REPO}")
    before = len(hub_server.requests)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert same(load_weights(f"hf-hub:{REPO}"), wanted)
    assert len(hub_server.requests) == before
    with pytest.raises(zoo.WeightsError) as error:
        load_weights("hf-hub:someone/other")
    assert str(error.value) == (
        "hf-hub:someone/other: the hub is not asked for, offline, and the cache has none of "
        "model.safetensors, pytorch_model.bin of it"
    )
    monkeypatch.delenv("ZOO_OFFLINE")
    hub_server.shutdown()
    hub_server.server_close()
    # The client tries again, for half a minute, what is not in its cache.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    assert same(load_weights(f"hf-hub:{REPO}"), wanted)
    with pytest.raises(zoo.WeightsError, match=r"other: the hub cannot be reached \(.*\), and"):
        load_weights("hf-hub:someone/other")
    with pytest.raises(zoo.WeightsError, match=r"other/a.pth: the hub cannot be reached, and"):
        load_weights("hf-hub:someone/other/a.pth")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_a_pickle_is_read_and_not_executed(hub_server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    data, wanted = written(tmp_path, "pytorch_model.bin", format="torch")
    hub_server.commit(REPO, {"pytorch_model.bin": data})
    assert same(load_weights(f"hf-hub:{REPO}"), wanted)
    file = io.BytesIO()
    torch.save({"w": torch.ones(3), "evil": Evil()}, file)
    hub_server.commit("someone/evil", {"pytorch_model.bin": file.getvalue()})
    hub_server.commit("someone/plain", {"pytorch_model.bin": pickle.dumps(Evil())})
    for repo in ("someone/evil", "someone/plain"):
        with pytest.raises(zoo.WeightsError):
            load_weights(f"hf-hub:{repo}")
    assert not (tmp_path / "executed").exists()
    torch.load(io.BytesIO(file.getvalue()), weights_only=False)  # which does execute it
    assert (tmp_path / "executed").exists()


def test_a_tag_that_moved(hub_server, tmp_path):
    data, wanted = written(tmp_path)
    other, changed = written(tmp_path, seed=1)
    hub_server.commit(REPO, {"model.safetensors": data}, "main", "v1")
    load_weights(f"hf-hub:{REPO}@v1")
    hub_server.commit(REPO, {"model.safetensors": data, "README.md": b"more"}, "v1")
    assert same(load_weights(f"hf-hub:{REPO}@v1"), wanted)  # the same file
    commit = hub_server.commit(REPO, {"model.safetensors": other}, "main", "v1")
    with pytest.raises(zoo.WeightsError) as error:
        load_weights(f"hf-hub:{REPO}@v1")
    first, second = (hashlib.sha256(content).hexdigest() for content in (data, other))
    pin = tmp_path / "zoo" / "hub" / "someone--net" / "v1" / "model.safetensors.sha256"
    assert str(error.value) == (
        f"hf-hub:{REPO}@v1: sha256 (={second}) must be {first}, as when it came first: the "
        f"revision has moved, to {commit}; hf-hub:{REPO}@{commit} takes what is there now, or "
        f"delete {pin}"
    )
    assert same(load_weights(f"hf-hub:{REPO}@{commit}"), changed)
    assert same(load_weights(f"hf-hub:{REPO}"), changed)  # of no revision nothing is promised
    pin.unlink()
    assert same(load_weights(f"hf-hub:{REPO}@v1"), changed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf-hub:someone/none", "there is no such repository, or it is private (hf auth login, or "
         "HF_TOKEN)"),
        ("hf-hub:someone/gated", "its owner asks for consent first, on its page; then hf auth "
         "login, or HF_TOKEN"),
        ("hf-hub:someone/net@v9", "there is no revision 'v9', or no longer"),
        ("hf-hub:someone/net@v9/model.safetensors", "there is no revision 'v9', or no longer"),
        ("hf-hub:someone/net/a.pth", "there is no file 'a.pth'"),
        ("hf-hub:someone/net", "no file of weights (.safetensors, .zoo, .pth, .pt, .pth.tar, .bin, "
         ".ckpt, .onnx, .npz) is there, but README.md, config.json"),
        ("hf-hub:someone/many", "several files may be the weights (a.safetensors, b.safetensors); "
         "say which: hf-hub:someone/many/a.safetensors"),
        ("hf-hub:someone", "must be like hf-hub:owner/repo[@revision][/file]"),
        ("hf-hub:someone/net/../x.pth", "must be like hf-hub:owner/repo[@revision][/file]"),
        ("hf-hub:someone/net@a b", "must be like hf-hub:owner/repo[@revision][/file]"),
    ],
)  # fmt: skip
def test_what_can_not_be_had(hub_server, text, message, tmp_path):
    hub_server.commit(REPO, {"README.md": b"#", "config.json": b"{}"})
    hub_server.commit("someone/gated", {"model.safetensors": b""})
    hub_server.commit("someone/many", {"b.safetensors": b"", "a.safetensors": b"", "c.bin": b""})
    hub_server.gated.add("someone/gated")
    with pytest.raises(zoo.WeightsError) as error:
        load_weights(text)
    assert str(error.value) == f"{text}: {message}"
    assert not list((tmp_path / "zoo").rglob("*"))


def test_a_damaged_copy_is_found(hub_server, tmp_path):
    data, wanted = written(tmp_path)
    hub_server.commit(REPO, {"model.safetensors": data})
    path = load_weights(f"hf-hub:{REPO}").path.resolve()
    path.write_bytes(data[:-4] + b"oops")
    with pytest.raises(zoo.WeightsError, match="as the hub says; the copy in the cache is damaged"):
        load_weights(f"hf-hub:{REPO}")
    path.unlink()
    assert same(load_weights(f"hf-hub:{REPO}"), wanted)


def test_published_weights_come_from_the_hub(hub_server, monkeypatch, tmp_path):
    """timm's are there: in its names, without a spec, in conventions that the entry states."""
    spec = zoo.spec("mobilenet_v3_small_0.5x", conventions="timm_tf")
    _, wanted = written(tmp_path, spec=spec, dialect="timm")
    arrays = formats.read(tmp_path / "model.safetensors")[1].entries[""]
    formats.write(tmp_path / "bare.safetensors", arrays)
    hub_server.commit(
        "timm/net", {"model.safetensors": (tmp_path / "bare.safetensors").read_bytes()}
    )
    (entry, *_) = pretrained.list_pretrained("mobilenet_v3_small_0.5x")
    here = {"tag": "timm/net", "url": "hf-hub:timm/net", "sha256": ""}
    entry = replace(entry, **here, preset="timm_tf", dialect="timm")
    monkeypatch.setattr(catalog, "_INDEX", catalog._index([entry]))
    net = zoo.create("mobilenet_v3_small_0.5x", backend="numpy", weights="timm/net")
    assert same(zoo.get_weights(net), wanted)
    found = pretrained.load_pretrained("mobilenet_v3_small_0.5x", "timm/net")
    assert found.spec.conventions == spec.conventions
    assert found.preprocessing == entry.preprocessing
    assert found.notes[0] == f"published as timm/net, {entry.license}: hf-hub:timm/net"
    # What was measured was the first file: one that has moved is refused, without a revision too.
    other, _ = written(tmp_path, spec=spec, dialect="timm", seed=1)
    hub_server.commit("timm/net", {"model.safetensors": other})
    with pytest.raises(zoo.WeightsError, match="as when it came first: the revision has moved"):
        pretrained.load_pretrained("mobilenet_v3_small_0.5x", "timm/net")


def test_choose():
    assert choose("r", ["a.ckpt", "b.npz"]) == "a.ckpt"
    assert choose("r", ["optimizer.bin", "pytorch_model.bin"]) == "pytorch_model.bin"
    with pytest.raises(zoo.WeightsError, match=r"r: no file of weights .* is there, but nothing"):
        choose("r", [])


def test_addresses():
    whole = "hf-hub:a/b@v1/c/d.pth"
    assert address.parse(whole) == address.Address("a/b", "v1", "c/d.pth")
    assert str(address.parse(whole)) == whole
    assert address.parse(f"hf-hub:a/b@{'0' * 40}").fixed
    assert not address.parse("hf-hub:a/b").fixed


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(zoo.NotInstalledError, match=r"needs huggingface_hub \(pip install"):
        load_weights("hf-hub:a/b")


def test_the_environment_says_which_hub(hub_server, tmp_path):
    """In a process of its own, as `huggingface_hub` reads it once."""
    data, _ = written(tmp_path)
    hub_server.commit(REPO, {"model.safetensors": data})
    environment = {"HF_ENDPOINT": hub_server.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "inspect", f"hf-hub:{REPO}"],
        check=False, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert MODEL in done.stdout
    assert list((tmp_path / "home" / "hub").rglob("model.safetensors"))
