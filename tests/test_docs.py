"""Pages that are generated are those that would be written today; figures in prose are measured.

A figure is found by the words around it: the phrase is made of the results, or of the code, and has
to stand on the page.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("script", ["models.py", "deploy_page.py", "parity_page.py", "peers.py"])
def test_a_generated_page_is_up_to_date(script):
    command = [sys.executable, ROOT / "benchmarks" / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_names_every_network():
    import zoo

    page = (ROOT / "docs" / "models.md").read_text()
    assert all(f"| `{name}` |" in page for name in zoo.list_models())


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("heading", "files", "judged"),
    [
        (
            "From timm to MindSpore",
            ["epoch_90.ckpt", "epoch_90.pth", "lcnet.ckpt", "lcnet.py"],
            "original, mindspore",
        ),
        ("From MindSpore", ["mobilenet.pth", "mobilenet.py"], "original, torch"),
    ],
)
def test_a_worked_example_runs(heading, files, judged, tmp_path):
    text = (ROOT / "docs" / "adopting.md").read_text().split(f"\n## {heading}\n")[1]
    code = "\n".join(re.findall(r"```python\n(.*?)```", text.split("\n## ")[0], re.DOTALL))
    # Where Cells outlive their module, MindSpore complains in their place.
    command = [sys.executable, "-c", f"{code}\nimport os, sys; sys.stdout.flush(); os._exit(0)"]
    path = {"PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | path
    )
    assert done.returncode == 0, done.stderr
    assert f"{judged} agree, training and below" in done.stdout
    assert [f.name for f in sorted(tmp_path.iterdir()) if f.is_file()] == files


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def words(page):
    """Return a page without its line breaks and without bold type."""
    return " ".join((ROOT / page).read_text().replace("**", "").split())


def short(number):
    return re.sub(r"e-0", "e-", f"{number:.1e}")


def networks():
    import zoo

    cost = zoo.cost("shufflenet_v1_2.0x_g3")
    yield "README.md", f"{cost.params:,} parameters, {cost.macs / 1e6:.2f}M multiply-adds at 224"
    yield "README.md", f"# {zoo.cost('shufflenet_v1_1.0x_g3').params:_}, without any framework"


def parity():
    from zoo.proof import tolerances

    rows = [
        row
        for row in results("parity")["rows"]
        if row["backend"] in ("torch", "mindspore") and row["group_conv"] != "optimized"
    ]

    def of(*about):
        return [row for row in rows if (row["level"], row["measure"]) == about]

    nodes = short(max(row["error"] for row in of("forward", "every node")))
    limit = tolerances.FROZEN_GRADIENT.limit
    errors: dict[str, float] = {}
    for row in of("gradients", "frozen batch norm"):
        errors[row["model"]] = max(row["error"], errors.get(row["model"], 0.0))
    frozen = short(max(error for error in errors.values() if error <= limit))
    beyond = [f"`{name}` {short(error)}" for name, error in errors.items() if error > limit]
    share = max(row["error"] / row["admitted"] for row in of("gradients", "batch statistics"))
    forward, gradient, batch = (
        f"{tolerances.FORWARD.limit:.0e}".replace("e-0", "e-"),
        f"{tolerances.FROZEN_GRADIENT.limit:.0e}".replace("e-0", "e-"),
        tolerances.BATCH_GRADIENT.floors,
    )
    yield "README.md", f"float64 | {nodes} of the node's maximum at most (admitted: {forward})"
    yield "README.md", f"level is on record for {len({row['model'] for row in rows})} of them"
    yield "README.md", f"norm frozen | {frozen} relative L2 at most (admitted: {gradient})"
    yield "README.md", f"; {', '.join(beyond)}, where float32 itself loses as much"
    yield "README.md", f"at most {share:.0%} of what".replace("%", " %")
    yield "README.md", f"admitted, {batch} × what float32 itself loses"


def admitted():
    from zoo.proof import kernels
    from zoo.proof import tolerances as t

    def told(tolerance):
        limit = f"{tolerance.limit:.0e}".replace("e-0", "e-")
        return limit + (f", or {tolerance.floors} × floor" if tolerance.floors else "")

    roundings = f"{kernels.ORDINARY} roundings ({short(kernels.ordinary())})"
    rows = {
        "units of its magnitude": f"{roundings}; 0 where",
        "max of the difference / max of the reference": told(t.FORWARD),
        "every node | max / max": told(t.BATCH_FORWARD),
        "running statistics | max / max": told(t.RUNNING_STATISTICS),
        "batch norm frozen | relative L2 of all parameters": told(t.FROZEN_GRADIENT),
        "with batch statistics | the same": told(t.BATCH_GRADIENT),
        "both, each parameter | relative L2 of each": told(t.PARAMETER),
        "loss of each step, relative": told(t.LOSSES),
        "| running statistics, max / max": told(t.TRAINED_STATISTICS),
        "the root of its mean square), relative L2 of each": told(t.MEMORY_EACH),
        "update, relative L2 of all parameters' last move": told(t.UPDATE),
        "update, each": told(t.UPDATE_EACH),
        "loss after a step, relative": told(t.LOSSES),
    }
    for row, limit in rows.items():
        yield "docs/parity.md", f"{row} | {limit}"
    yield "docs/parity.md", f"never above {short(kernels.MARGIN * kernels.COARSEST)}, so that"


def mutants():
    killed = [row for row in results("mutants")["verdicts"] if row["status"] == "killed"]
    possible = sum(row["status"] != "equivalent" for row in results("mutants")["verdicts"])
    exact = sum(row["exact"] for row in killed)
    yield "README.md", f"{len(killed):,} of {possible:,} seen, {exact:,} of them named where"


def peers():
    text = (ROOT / "tests" / "test_peers.py").read_text()
    rows = re.findall(r'^    \((\w+), "([^"]+)", "shuffle[^"]+"\),$', text, re.M)

    def count(peer, family):
        return sum(whose == peer and family in name.lower() for whose, name in rows)

    v1, v2 = "shufflenet_", "shufflenetv2"
    yield "README.md", f"| {len(rows)} networks against torchvision's"
    yield (
        "docs/weights.md",
        (
            f"logits of {len(rows)} networks against their own code (torchvision V2 "
            f"×{count('torchvision', '_v2')}, MindCV V1 ×{count('mindcv', '_v1')} and V2 "
            f"×{count('mindcv', '_v2')}, pytorchcv V1 ×{count('pytorchcv', v1)} "
            f"and v2b ×{count('pytorchcv', v2)}, mmpretrain V1 ×{count('mmpretrain', 'v1')} and V2 "
            f"×{count('mmpretrain', v2)})"
        ),
    )
    # What two pages say is one figure.
    (logits,) = re.findall(r"torch, MindSpore, reference \| (\S+), ", words("docs/weights.md"))
    (gradients,) = re.findall(r"seven of them \| (\S+);", words("docs/weights.md"))
    yield "README.md", f"own code | logits {logits}, gradients {gradients} at most"


def others():
    rows = results("peers")["networks"].values()
    worst = short(max(max(row["errors"].values()) for row in rows))
    yield "README.md", f"| {len(rows)} networks against timm's, torchvision's"
    yield "README.md", f"MindCV's own code | logits {worst} at most; files there"
    assert all(row["same_bytes"] for row in rows)
    adopted = results("adopt")["networks"].values()
    for code_base in "timm", "torchvision", "MindCV":
        own = [row for row in adopted if row["code_base"] == code_base]
        done = sum("errors" in row for row in own)
        yield "README.md", f"{code_base} {done} of {len(own)} "


def convert():
    found = results("convert")
    plain, other, verified = found["times_of_a_copy"].values()
    memory = found["memory_of_the_file"].values()
    yield "README.md", f"converting a checkpoint | {plain:.1f} × the time of copying it"
    yield (
        "docs/weights.md",
        (f"| {plain:.1f}; {other:.1f} into other conventions; {verified:.1f} with the"),
    )
    yield "docs/weights.md", "| {:.1f}; {:.1f} with the verification | 3 |".format(*memory)
    imported = ", ".join(found["frameworks_imported"]) or "none"
    yield "docs/weights.md", f"| … frameworks imported | {imported} |"


def fuzz():
    found = results("fuzz")["doors"].values()
    read, refused = (sum(row[what] for row in found) for what in ("read", "refused"))
    yield "docs/weights.md", f"{read:,} read, {refused:,} refused; no crash"
    assert not any(row["failed"] for row in found)


def train():
    found = results("train")
    names = {
        "published": "the published loop",
        "torch": "ours, PyTorch eager, channels last",
        "torch-compile": "ours, `--compile`",
        "torch-compile-bf16": "ours, `--compile`, bfloat16",
        "torch-compile-bf16-x2": "ours, the same in two processes of one thread",
        "mindspore": "ours, MindSpore",
    }
    ratios = {name: f"{row['median']:.2f}" for name, row in found["ratios"].items()}
    for name, row in found["images_per_second"].items():
        yield "docs/training.md", f"| {names[name]} | {row['median']:.0f} | {ratios.get(name, '')}"
    best = max(ratios[name] for name in ratios if name.startswith("torch"))
    yield "README.md", f"PyTorch {best} × the published loop, MindSpore {ratios['mindspore']} ×"
    made = [f"{round(rate, -3):,.0f}" for rate in found["pipelines"].values()]
    yield (
        "docs/training.md",
        (
            "images/s | NumPy {}, torchvision {}, MindSpore's".format(*made)
            + f" {round(found['pipelines']['mindspore.dataset'], -2):,.0f};"
        ),
    )


def bundled():
    for page in (ROOT / "weights" / "pretrained" / "bundled").glob("*.md"):
        rows = re.findall(r"\| ([\d,]+) \| ([\d.]+) % \| [\d.]+ % \| (\d+) \|", page.read_text())
        (count, jpeg, differing), (exact, top1, _) = rows
        assert differing == "0"
        yield "README.md", f"the same class for each of {count} test images"
        yield "docs/training.md", f"{count} test images | exact pixels, {exact} of the test images"
        yield "docs/training.md", f"| {jpeg} % | {top1} % ("
        yield "docs/models.md", f"with that on {exact} of CIFAR-10's test images"


def deploy():
    ratios = {
        (model.removeprefix("shufflenet_"), row["about"], row["batch"]): row["ratio"]
        for model, found in results("deploy")["models"].items()
        for row in found["comparisons"]
    }

    def of(models, about, batch):
        return [ratios[model, about, batch] for model in models]

    def between(found, digits=2):
        return f"{min(found):.{digits}f} to {max(found):.{digits}f}"

    v2, v1 = ("v2_0.5x", "v2_1.0x", "v2_2.0x"), ("v1_1.0x_g3", "v1_1.0x_g8")
    for models, named in ((v2, "V2 0.5x, 1.0x, 2.0x"), (v1, "V1 1.0x g3, g8")):
        many, one = (
            ", ".join(f"{ratio:.2f}" for ratio in of(models, "fastest path", batch))
            for batch in (32, 1)
        )
        yield "README.md", f"{named}: {many} × at batch 32, {one} × at one image"
    page = "docs/performance.md"
    parts = ratios[v2[0], "fastest path, the peer's batch taken in parts by hand", 32]
    yield page, f"ShuffleNet V2 0.5x keeps {parts:.2f} of its lead at batch 32"
    yield page, "g3 {:.2f}, g8 {:.2f} (1.15 wanted)".format(*of(v1, "fastest path", 1))
    yield page, f"is {ratios[v2[0], 'fastest path', 1]:.2f} in this one, 1.12 wanted"
    limit = "MindSpore over MindCV with the same oneDNN limit"
    first, second = (of(models, limit, 1) + of(models, limit, 32) for models in (v1, v2))
    yield page, f"V1: {between(first)} over MindCV with the same limit (1.5 wanted), V2: "
    yield page, f"(1.5 wanted), V2: {between(second, 1)}."
    shipped = "MindSpore over MindCV as installed"
    others = of((*v2[:2], *v1), shipped, 32)
    yield (
        page,
        (
            f"V2 2.0x: {ratios[v2[2], shipped, 32]:.1f} at batch 32 (10 wanted; "
            f"{between(others, 0)} for the others)"
        ),
    )
    eager = "MindSpore over the peer's PyTorch eager, NCHW"
    low, (g3, g8) = of(v2, eager, 32), of(v1, eager, 32)
    yield page, f"{low[0]:.2f} for V2 0.5x, {g3:.2f} for V1 g3 and {g8:.2f} for V1 g8 at batch 32"
    yield page, f"{between(low[1:])} for V2 1.0x and 2.0x (1.4 wanted), "
    yield page, f"(1.4 wanted), {between(of((*v1, *v2), eager, 1))} at one image"


def forward():
    for row in results("forward")["comparisons"]:
        yield "docs/performance.md", f"| {row['batch']} | {spread(row)}"
    for row in results("forward_torch")["comparisons"]:
        if row["engine"] == "torch":
            where = "in `forward_torch.json`" if row["batch"] == 32 else "there"
            yield "docs/performance.md", f" here, {spread(row)} {where}"


def spread(row):
    ratios = (row["ratio"], min(row["ratio_by_round"]), max(row["ratio_by_round"]))
    return "{} ({}–{})".format(*(f"{r:.{1 if row['ratio'] > 10 else 2}f}" for r in ratios))


SOURCES = [
    networks,
    parity,
    admitted,
    mutants,
    peers,
    others,
    convert,
    fuzz,
    train,
    bundled,
    deploy,
    forward,
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_a_figure_in_prose_is_the_measured_one(source):
    missing = [(page, phrase) for page, phrase in source() if phrase not in words(page)]
    assert not missing, "\n".join(f"{page} does not say: {phrase}" for page, phrase in missing)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_another_figure_would_be_noticed(source):
    """Each phrase stands on no page with another figure in its last place."""
    for page, phrase in source():
        if last := re.search(r"\d(?=\D*$)", phrase):
            other = phrase[: last.start()] + str((int(last[0]) + 1) % 10) + phrase[last.end() :]
            assert other not in words(page)


def test_every_row_of_the_summary_is_checked():
    """But those without a figure."""
    checked = [phrase for source in SOURCES for page, phrase in source() if page == "README.md"]
    table = (ROOT / "README.md").read_text().split("## What was measured")[1].split("\n\n")[1]
    rows = [row for row in table.splitlines()[2:] if re.search(r"\d", re.sub(r"`.*?`", "", row))]
    assert len(rows) > 8
    assert [row for row in rows if not any(phrase in row for phrase in checked)] == []
