"""``zoo list``: what is asked for is listed, in the order asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import zoo
from weights import pretrained
from zoo.cli import app, listing
from zoo.reporting import scatter


def run(*args):
    return CliRunner().invoke(app, ["list", *args], catch_exceptions=False)


def test_bounds_sorting_and_families():
    done = run(
        "--family", "mobilenet_v3,vgg", "--params", "<5M", "--macs", ">30M", "--sort", "macs"
    )
    assert done.stdout.split() == [
        "mobilenet_v3_small_0.75x_mindcv", "mobilenet_v3_small_0.75x", "mobilenet_v3_small_1.0x",
        "mobilenet_v3_large_0.75x_mindcv", "mobilenet_v3_large_0.75x",
    ]  # fmt: skip
    everything = zoo.list_models("mobilenet_v3*")
    for name in everything:
        cost = zoo.cost(name)
        assert (name in done.stdout.split()) == (cost.params < 5e6 and cost.macs > 30e6)
    exact = zoo.cost("vgg11").params
    assert run("vgg11", "--params", f"<={exact}").stdout.split() == ["vgg11"]
    with pytest.raises(zoo.ZooError, match="none of the 1 networks is within the bounds"):
        run("vgg11", "--params", f"<{exact}")


def test_the_most_accurate_come_first():
    names = run("densenet*", "--sort", "top1").stdout.split()

    def best(name):
        return max(entry.top1 for entry in pretrained.list_pretrained(name))

    assert names == sorted(names, key=best, reverse=True) != sorted(names)
    table = run("densenet*", "--sort", "top1", "--long").stdout
    assert [line.split()[0] for line in table.splitlines() if "densenet" in line] == names
    assert f"{best('densenet161'):.2f}" in table


def test_weights_of_what_is_within_the_bounds():
    shown = run("mobilenet*", "--weights", "--params", "<2M").stdout
    assert "weights='timm/mobilenetv3_small_050.lamb_in1k'" in shown
    assert "mobilenet_v1_1.0x" not in shown
    first = run("resnet50", "--weights", "--sort", "top1").stdout.splitlines()[0]
    best = max(pretrained.list_pretrained("resnet50"), key=lambda entry: entry.top1 or 0)
    assert first == f"resnet50  weights={best.tag!r}"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--params", "5"], r"--params '5' must be like '<5M' or '>=300k,<1.5G'"),
        (["--macs", "<5Mi"], "--macs '<5Mi' must be like"),
        (["--family", "vgx"], "unknown family 'vgx'; did you mean 'vgg'?"),
        (["--sort", "size"], "unknown sort 'size'; known: macs, name, params, top1"),
        (["resnet50", "--plot", "a.jpg"], "a.jpg: the suffix must be one of .png, .svg"),
        (["resnet18_cifar", "--plot", "a.png"], "no network has published weights whose accuracy"),
    ],
)
def test_what_is_asked_for_wrongly(args, message):
    with pytest.raises(zoo.ZooError) as error:
        run(*args)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_accuracy_over_work_is_drawn(suffix, start, tmp_path):
    path = tmp_path / f"a{suffix}"
    assert run("vgg*", "--plot", str(path)).stdout == f"written to {path}\n"
    assert path.read_bytes().startswith(start)
    points = list(listing.points(listing.rows(
        zoo.list_models("vgg*"), family=None, params=None, macs=None, sort="name")))  # fmt: skip
    assert {name for _, name, _, _ in points} == set(zoo.list_models("vgg*"))
    assert all(macs == zoo.cost(name).macs for _, name, macs, _ in points)
    drawn = [scatter.draw(points[i:], format=suffix[1:]) for i in (0, 0, 1)]
    assert path.read_bytes() == drawn[0] == drawn[1] != drawn[2]


def test_the_names_of_those_ahead_are_shown():
    points = [("f", "a", 1.0, 50.0), ("f", "b", 2.0, 40.0), ("f", "c", 3.0, 60.0)]
    assert [name for _, name, *_ in scatter._ahead(points)] == ["a", "c"]


def test_a_subcommand_loads_no_other():
    code = (
        "import sys; sys.argv = ['zoo', 'list']\nfrom zoo.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('zoo.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['zoo.cli.list']"
