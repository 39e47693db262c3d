"""Put a run's weights into the package, with a card: recipe, data, curves, accuracy, time, machine.

    python benchmarks/bundled.py runs/cifar10-torch --trained-on NAME --data NAME=PATH --data …

writes ``weights/pretrained/bundled/MODEL-TAG.safetensors``, ``.md`` and ``.svg``, and prints the
row that belongs into ``weights/pretrained/catalog.py``, with the accuracy on the last set of
images. The network after the last epoch is evaluated (no choice is made by test images) on every
set that is named, in PyTorch, MindSpore and ONNX Runtime.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

import weights as arrays
import zoo
from weights.pretrained.download import BUNDLED
from zoo.families import base_model
from zoo.reporting.plots import draw_curves

BACKENDS = ("torch", "mindspore", "onnx")
SUFFIXES = (".safetensors", ".svg", ".md")


def card(
    run: zoo.Run,
    model: str,
    tag: str,
    trained_on: str,
    found: dict[str, zoo.Agreement],
    begun_with: str | None,
) -> str:
    """Return the model card, Markdown."""
    recipe, info = run.recipe, run.info
    machine = info.machine
    hours = sum(row["seconds"] for row in run.epochs) / 3600
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
            f"Trained on the training images of {trained_on} with `zoo train` in "
            f"{info.backend}, {recipe.epochs} epochs of batches of {recipe.batch_size}, "
            f"{recipe.precision}; the weights are those after the last epoch"
            + (", their moving mean." if recipe.ema else "."),
            f"It took {hours:.1f} hours on {machine['cores']} cores of an {machine['cpu']}, beside "
            f"other work, in {info.processes} processes (`torchrun`), with {info.backend} "
            f"{info.versions.get('version', '')}.",
            *([f"It was begun with {begun_with}."] if begun_with else []),
            "",
            f"![curves]({model}-{tag}.svg)",
            "",
            "Classes: " + ", ".join(run.classes) + ".",
            "License: Apache-2.0. The images are not part of this project.",
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
    trained_on: Annotated[str, typer.Option(help="What the training images are called.")],
    tag: Annotated[str, typer.Option(help="What `weights=` takes.")] = "cifar10",
    begun_with: Annotated[str | None, typer.Option(help="What weights a run had at first.")] = None,
) -> None:
    """Evaluate, write the files, print the row."""
    run = zoo.open_run(folder)
    if bool(run.info.weights) != bool(begun_with):
        raise typer.BadParameter(
            f"is for runs that began with weights, and they need it; here: {run.info.weights}",
            param_hint="--begun-with",
        )
    model = base_model(run.recipe.spec)
    assert model is not None, "a network of the catalog"
    found = {}
    for pair in data:
        name, _, path = pair.partition("=")
        found[name] = zoo.compare(run.last.path, path, backends=BACKENDS)
        print(found[name].summary())
    BUNDLED.mkdir(exist_ok=True)
    file, curves, text = (BUNDLED / f"{model}-{tag}{suffix}" for suffix in SUFFIXES)
    checkpoint = zoo.load_weights(run.last.model)
    arrays.save_weights(file, checkpoint.spec, checkpoint.weights, force=True)
    curves.write_bytes(draw_curves(run.epochs, run.steps, format="svg"))
    text.write_text(card(run, model, tag, trained_on, found, begun_with))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    told = list(found.values())[-1].evaluations[0]
    print(f'_packaged("{model}", "{digest}", top1={told.top1:.2f}, top5={told.top5:.2f}),')


if __name__ == "__main__":
    typer.run(main)
