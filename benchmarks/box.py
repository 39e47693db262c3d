"""Put a run's weights into the package, with a card: recipe, data, curves, accuracy, time, machine.

    python benchmarks/box.py runs/cifar10-torch --tag cifar10 --data NAME=PATH --data NAME=PATH

writes ``weights/pretrained/box/MODEL-TAG.safetensors``, ``.md`` and ``.svg``, and prints the row
that belongs into ``weights/pretrained/catalogue.py``. The networks are evaluated on every set of
test images that is named, in PyTorch, MindSpore and ONNX Runtime.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

import weights as arrays
import zoo
from weights.pretrained.download import BOX
from zoo.arch import base_model
from zoo.reporting.plots import draw_curves

BACKENDS = ("torch", "mindspore", "onnx")


def card(run: zoo.Run, model: str, tag: str, found: dict[str, zoo.Agreement]) -> str:
    """Return the model card, Markdown."""
    recipe, info = run.recipe, run.info
    machine = info["machine"]
    hours = sum(row["seconds"] for row in run.epochs) / 3600
    best = run.best
    accuracy = [
        f"| {name} | {len(agreed.evaluations[0].predictions):,} "
        f"| {agreed.evaluations[0].top1:.2f} % | {agreed.evaluations[0].top5:.2f} % "
        f"| {len(agreed.disagreements)} |"
        for name, agreed in found.items()
    ]
    return "\n".join(
        [
            f"# {model}, {tag}",
            "",
            f'`zoo.create("{model}", weights="{tag}", backend=…)`',
            "",
            "| test images | how many | top-1 | top-5 | other classes in "
            f"{', '.join(BACKENDS[1:])} than in {BACKENDS[0]} |",
            "|---|---:|---:|---:|---:|",
            *accuracy,
            "",
            f"Trained on the training images of {info['data']} with "
            f"`zoo.train` in {info['backend']}, {recipe.epochs} epochs of batches of "
            f"{recipe.batch_size}, {recipe.precision}; the weights are those after epoch "
            f"{best.epoch}" + (", their moving mean." if recipe.ema else "."),
            f"It took {hours:.1f} hours on {machine['cores']} cores of a {machine['cpu']}, beside "
            f"other work, with {info['backend']} {info['versions'].get('version', '')}.",
            "",
            f"![curves]({model}-{tag}.svg)",
            "",
            "Classes: " + ", ".join(run.classes) + ".",
            "Licence: Apache-2.0. The images are not part of this project.",
            "",
            "The recipe:",
            "",
            "```json",
            recipe.to_json(),
            "```",
            "",
        ]
    )


def main(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of test images; repeatable.")],
    tag: Annotated[str, typer.Option(help="What `weights=` takes.")] = "cifar10",
) -> None:
    """Evaluate, write the files, print the row."""
    run = zoo.open_run(folder)
    model = base_model(run.recipe.spec)
    assert model is not None, "a network of the catalogue"
    found = {}
    for pair in data:
        name, _, path = pair.partition("=")
        found[name] = zoo.compare(run.path, path, backends=BACKENDS)
        print(found[name].summary())
    BOX.mkdir(exist_ok=True)
    stem = BOX / f"{model}-{tag}"
    checkpoint = zoo.load_weights(run.best.model)
    arrays.save_weights(
        stem.with_suffix(".safetensors"), checkpoint.spec, checkpoint.weights, force=True
    )
    (BOX / f"{stem.name}.svg").write_bytes(draw_curves(run.epochs, run.steps, format="svg"))
    (BOX / f"{stem.name}.md").write_text(card(run, model, tag, found))
    digest = hashlib.sha256(stem.with_suffix(".safetensors").read_bytes()).hexdigest()
    first = next(iter(found.items()))
    told = first[1].evaluations[0]
    accuracy = f'top1={told.top1:.2f}, top5={told.top5:.2f}, measured_on="{first[0]}"'
    print(f'_packaged("{model}", "{tag}", "{digest}", {accuracy})')


if __name__ == "__main__":
    typer.run(main)
