"""`zoo.report`: a run on one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from zoo.data import Dataset
from zoo.errors import NotInstalledError, ZooError
from zoo.evaluation.setup import Setup
from zoo.output import Progress, require_writable, write
from zoo.reporting.about import about_run
from zoo.reporting.evaluated import evaluate_run
from zoo.reporting.template import PAGE
from zoo.training.run import Run, open_run

TRAIN_IMAGES = 10_000
"""Training images that are evaluated, evenly spaced."""


def report(
    run: str | Path | Run,
    out: str | Path | None = None,
    *,
    data: str | Path | Dataset | None = None,
    backend: str | None = None,
    batch_size: int = 128,
    workers: int = 2,
    train_images: int = TRAIN_IMAGES,
    progress: Progress | None = None,
) -> Path:
    """Put a run on one HTML page: recipe, data, machine, curves, evaluation, samples, checkpoints.

    The page holds its pictures and styles, and loads nothing. The best checkpoint is evaluated on
    the test images and on some of the training images.

    Args:
        run: its folder; it need not have finished.
        out: the destination, ``.html``; by default ``report.html`` in the run's folder. A file
            that is there is replaced.
        data: where the images are now; by default where they were. Without them the page has
            neither accuracies of classes nor pictures.
        backend: what evaluates; by default the run's own.
        batch_size: as for `evaluate`.
        workers: likewise.
        train_images: so many training images are evaluated, evenly spaced.
        progress: told of every batch; for progress bars.

    Returns:
        The destination.

    Raises:
        TrainingError: it is no run.
        InputError: the data cannot be read, or have other classes than the run.
        ZooError: the page cannot be written.
        NotInstalledError: jinja2 is missing.
    """
    try:
        import jinja2
    except ModuleNotFoundError:
        raise NotInstalledError(
            "a report needs the package 'jinja2', which is not installed: "
            "pip install 'parity-zoo[train]'"
        ) from None
    if train_images < 1:
        raise ZooError(f"train_images (={train_images}) must be at least 1")
    found = run if isinstance(run, Run) else open_run(run)
    path = Path(out) if out is not None else found.path / "report.html"
    require_writable(path, ".html")
    page = about_run(found)
    source = data if data is not None else found.info.source
    if not found.checkpoints:
        page["notes"].append("There is no checkpoint yet: nothing was evaluated.")
    elif data is None and (source is None or not Path(str(source)).exists()):
        page["notes"].append(
            "The data were not at hand: nothing was evaluated. zoo report --data tells where they "
            "are."
        )
    else:
        setup = Setup.of(
            found.path,
            backend=backend or found.info.backend,
            batch_size=batch_size,
            workers=workers,
            skip_corrupt=found.info.skip_corrupt,
            progress=progress,
        )
        page |= evaluate_run(setup, source, found.recipe, train_images)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(PAGE).render(page)
    write(path, text.encode())
    return path
