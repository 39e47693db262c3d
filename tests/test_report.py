"""Pictures and the page of a run: what is on them, and that they need nothing else."""

from __future__ import annotations

import base64
import io
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import typer
from PIL import Image
from run_material import CLASSES, RECIPE, trained, write_data, write_run
from training_material import tiny_data, tiny_recipe
from typer.testing import CliRunner

import zoo
from zoo.cli.report import report as report_command
from zoo.data import open_dataset
from zoo.evaluation import charts, evaluate
from zoo.evaluation.charts import draw_confusion
from zoo.reporting import plots
from zoo.reporting.page import report
from zoo.training import open_run, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "scenes")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", data, trained(data))


def picture(contents):
    with Image.open(io.BytesIO(contents)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, to be asked what is on them."""
    drawn = []
    rendered = charts.rendered

    def keep(figure, format):
        drawn.append(figure)
        return rendered(figure, format)

    for module in (charts, plots):
        monkeypatch.setattr(module, "rendered", keep)
    return drawn


# ── Plots ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sweep(quick=["25"])
@pytest.mark.parametrize("classes", [2, 25, 26, 200])
def test_confusion_matrices(classes, figures, rng):
    confusion = rng.integers(0, 3, (classes, classes)) + 20 * np.eye(classes, dtype=int)
    confusion[1] = 0
    names = [f"a ${'class' * (i % 9)} {i}" for i in range(classes)]
    contents = draw_confusion(confusion, names, "which is which")
    assert picture(contents).std() > 5
    assert classes > 2 or contents == draw_confusion(confusion, names, "which is which")
    axes = figures[0].axes[0]
    shares = axes.images[0].get_array()
    assert shares[0].sum() == pytest.approx(1)
    assert shares[1].mask.all()
    written = {text.get_text() for text in axes.texts}
    assert written == ({str(n) for n in confusion.ravel() if n} if classes < 26 else set())
    ticks = axes.get_yticklabels()
    assert len(ticks) == classes
    assert ticks[0].get_text() == r"a \$ 0"  # no formula
    assert max(len(tick.get_text()) for tick in ticks) <= charts.NAME + 1
    # Every name has room: no smaller than what can be read, and no two on each other.
    height = axes.get_window_extent().height / len(ticks)
    assert ticks[0].get_fontsize() >= 5
    assert height > ticks[0].get_fontsize() * figures[0].dpi / 72


def test_many_classes_are_named_in_part(figures, monkeypatch):
    monkeypatch.setattr(charts, "NAMED", 30)
    draw_confusion(np.eye(31, dtype=int), [str(i) for i in range(31)])
    ticks = figures[0].axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == [str(i) for i in range(0, 31, 2)]


def test_curves(run, figures):
    found = open_run(run)
    svg = plots.draw_curves(found.epochs, found.steps, format="svg")
    assert svg.startswith(b"<?xml")
    loss, accuracy, rate = figures[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert lines["training"] == [[1, 2], [2, 1], [3, 2 / 3]]
    assert lines["validation"] == [[1, 1], [2, 1 / 2], [3, 1 / 3]]
    each = lines["training, each step"]
    assert each[0] == [0.2, 3]  # five steps an epoch
    assert each[-1] == [3, 0.2]
    lines = {line.get_label(): line.get_ydata().tolist() for line in accuracy.lines}
    assert lines["validation, top-1"] == [20, 30, 20]
    assert len(rate.lines[0].get_ydata()) == 15
    # Many steps are taken together, and a run that has just begun has no epoch.
    many = [{"step": s, "epoch": 1, "lr": 1, "loss": s % 2} for s in range(1, 5001)]
    assert picture(plots.draw_curves([], many)).std() > 5
    line = figures[1].axes[0].lines[0]
    assert len(line.get_xdata()) == plots.POINTS
    assert set(line.get_ydata()) == {0.4, 0.6}
    assert figures[1].axes[0].get_xlabel() == "step"
    assert picture(plots.draw_curves([], [])).size


def test_samples(run, data, figures):
    dataset = open_dataset(data)
    plots.draw_raw(dataset.train, 10)
    axes = figures[0].axes
    assert [one.get_xlabel() for one in axes if one.images][::5] == ["ant", "dog"]
    shown = axes[0].images[0].get_array()
    assert np.array_equal(shown, np.asarray(dataset.train.images.picture(1)))

    contents = plots.draw_augmented(dataset.train, RECIPE, 2)
    assert contents == plots.draw_augmented(dataset.train, RECIPE, 2)
    axes = figures[1].axes
    assert axes[0].images[0].get_array().shape == (36, 40, 3)
    seen = [np.asarray(one.images[0].get_array()) for one in axes[1:8]]
    assert all(one.shape == (32, 32, 3) for one in seen)
    assert len({one.tobytes() for one in seen}) > 4
    assert [text.get_text() for text in figures[1].texts][-8:-5] == ["raw", "epoch 1", "epoch 2"]

    found = evaluate(run, backend="onnx")
    plots.draw_predicted(found, dataset.test, 8)
    axes = [one for one in figures[-1].axes if one.images]
    captions = [one.get_xlabel() for one in axes]
    wrong = [text for text in captions if "\nis " in text]
    right = np.flatnonzero(found.predictions == found.labels)
    assert len(captions) - len(wrong) == 4
    assert len(wrong) == min(4, 18 - len(right))
    colors = {one.xaxis.label.get_color() for one in axes[: len(captions) - len(wrong)]}
    assert colors == {charts.RIGHT}
    name, label = wrong[0].split(" ")[0], wrong[0].rpartition(" ")[2]
    assert found.confusion[CLASSES.index(label), CLASSES.index(name)] > 0


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.addresses, self.words, self.open = [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.mark.exhaustive
def test_the_page_of_a_run(run, data, tmp_path):
    path = report(run, tmp_path / "page.html", backend="onnx", batch_size=5, train_images=10)
    page = Page(path)
    # Nothing is loaded, nothing is run.
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:", page.source)
    kinds = [address.partition(";")[0] for address in page.addresses]
    assert kinds == ["data:image/svg+xml", *["data:image/png"] * 5]
    for address in page.addresses[1:]:
        assert picture(base64.b64decode(address.partition(",")[2])).std() > 1
    found = evaluate(run, backend="onnx")
    for words in (
        "shufflenet_v2_0.5x on scenes", "3 of 3 epochs", "30.00 % best top-1, epoch 2",
        "2 min 02 s training", f"{run} (epoch 2), by onnx; images prepared by resize 32, center",
        f"18 test images {found.loss:.4f} {found.top1:.2f} % {found.top5:.2f} %", "10 train images",
        "100.00 %", "Classes, 18 test images", "epoch-0002 2 10 0.5 30", "best", "epoch-0003 3 15",
        "last", "optimizer.lr 0.1", "train.1 random_crop size 32, padding 4", "cpu an abacus",
        "classes 6: ant, bee, cat, dog, eel, fox", "resumed.1 backend torch, step 7",
    ):  # fmt: skip
        assert words in page.text, words
    assert "was evaluated" not in page.text
    for name, share in zip(CLASSES, found.per_class, strict=True):
        assert re.search(rf"{name} 3 {share:.1f} %", page.text)
    # The data that are said, and no others: half of the classes' images are another's there.
    other = tmp_path / "other"
    shutil.copytree(data, other)
    for name, taken in (("ant", "bee"), ("cat", "dog")):
        shutil.rmtree(other / "test" / name)
        shutil.copytree(data / "test" / taken, other / "test" / name)
    worse = Page(report(run, path, data=other, backend="onnx", train_images=6))
    assert f"{found.loss:.4f}" not in worse.text


@pytest.mark.exhaustive
def test_names_are_no_markup(run, data, tmp_path):
    """The negative control of escaping: a class and a folder with tags for names."""
    evil = "<script>alert(1)</script>"
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    text = (copy / "run.json").read_text().replace('"fox"', f'"{evil}"')
    (copy / "run.json").write_text(text.replace('"scenes"', '"<img src=x>"'))
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    for part in ("train", "test"):
        # A class that is called so can only come from an archive: folders have no slashes.
        (folder / part / "fox").rename(folder / part / "<b>fox")
    with pytest.raises(zoo.InputError, match="its class '<b>fox' is none of those"):
        report(copy, data=folder, backend="onnx")
    assert not (copy / "report.html").exists()
    page = Page(report(copy, data=_renamed(data, evil), backend="onnx"))
    assert "script" not in page.tags
    assert evil in page.text
    assert "shufflenet_v2_0.5x on <img src=x>" in page.text


def _renamed(data, name):
    import dataclasses

    found = open_dataset(data)
    splits = (
        dataclasses.replace(part, classes=(*part.classes[:-1], name))
        for part in (found.train, found.test)
    )
    return zoo.data.Dataset(found.name, *splits)


def test_what_there_is_is_shown(run, data, tmp_path):
    """A run whose data are gone, one without a checkpoint, one that has just begun."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "run.json").write_text(
        (copy / "run.json").read_text().replace(str(data), str(tmp_path / "gone"))
    )
    page = Page(report(copy))
    assert (copy / "report.html").is_file()
    assert "The data were not at hand: nothing was evaluated." in page.text
    assert len(page.addresses) == 1
    with pytest.raises(zoo.InputError, match="gone: no such file or folder"):
        report(copy, data=tmp_path / "gone", backend="onnx")
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoints").mkdir()
    page = Page(report(copy))
    assert "The run has not finished." in page.text
    assert "There is no checkpoint yet: nothing was evaluated." in page.text
    for name in ("epochs.csv", "steps.csv"):
        (copy / name).unlink()
    page = Page(report(copy))
    assert page.addresses == []
    assert "0 of 3 epochs" in page.text


def test_a_run_of_ours(tmp_path):
    """A network that was in fact trained: its accuracy is what its log says."""
    found = train(tiny_recipe(epochs=1), tiny_data(), tmp_path / "run")
    best = found.epochs[found.best.epoch - 1]
    measured = evaluate(found.path, tiny_data())
    assert measured.top1 == pytest.approx(best["val_top1"])
    assert measured.top5 == pytest.approx(best["val_top5"])
    assert measured.loss == pytest.approx(best["val_loss"], rel=1e-5)


def test_what_is_refused(run, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for changed, message in (
        (dict(run=tmp_path / "empty"), "empty: is no run: it has no recipe.json"),
        (dict(out=tmp_path / "a.pdf"), "a.pdf: the suffix must be .html"),
        (dict(out=tmp_path / "x" / "a.html"), "the folder {0}/x does not exist"),
        (dict(train_images=0), "train_images (=0) must be at least 1"),
        (dict(data=tmp_path / "empty"), "empty: is no data set; looked for"),
    ):
        with pytest.raises(zoo.ZooError) as error:
            report(**{"run": run, "out": tmp_path / "a.html", **changed})
        assert message.format(tmp_path) in str(error.value)
        assert not (tmp_path / "a.html").exists()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(zoo.ZooError, match="a report needs the package 'jinja2', which is not in"):
        report(run)


def test_the_command(run, tmp_path):
    app = typer.Typer()
    app.command()(report_command)
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, [str(run), "--out", str(out), "--backend", "onnx"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith(f"{out}: ")
    assert out.stat().st_size > 50_000
