"""`zoo.parity`: the same network on several backends, compared level by level."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import backends
from zoo.arch import Spec
from zoo.arch.operators import Dropout
from zoo.errors import BackendNotInstalledError, UnknownNameError, unknown
from zoo.families import model_name, spec
from zoo.loading import Network, Source, opened, resolve
from zoo.machine import version
from zoo.models import GROUP_CONV, for_inference
from zoo.output import Progress
from zoo.proof.candidate import Candidate
from zoo.proof.case import STEPS, make_case
from zoo.proof.finding import Finding
from zoo.proof.levels import LEVELS, slope
from zoo.proof.live import of_model
from zoo.proof.original import ORIGINAL, of_original
from zoo.proof.references import References
from zoo.proof.report import ParityReport
from zoo.proof.variants import DEFAULT


def parity(
    model: Any,
    *,
    backends: Sequence[str] = ("torch", "mindspore"),
    level: str = "forward",
    group_conv: str = "native",
    optimize: bool = False,
    images: np.ndarray | None = None,
    weights: Source | None = None,
    seed: int = 0,
    steps: int = STEPS,
    variants: Sequence[str] = (DEFAULT,),
    progress: Progress | None = None,
    **overrides: Any,
) -> ParityReport:
    """Prove that a network computes the same thing on several backends.

    Each backend is compared with a float64 reference, never only with another backend, at every
    level up to the one asked for: ``structure`` (names, shapes, counts), ``forward`` (every
    operator on its own inputs and every node from the image on, in evaluation mode),
    ``batch_statistics`` (the same in training mode, and the running statistics), ``gradients`` (of
    every parameter), ``training`` (the steps that `zoo train` takes). What the weights and images
    could not have shown does not pass, see `ParityReport.gaps`.

    Args:
        model: whatever `create` takes, or a live model that it made, in whatever it is wrapped.
            Only this is proven with its own weights, on the backends and, up to ``forward``, as
            it is in your hands: with its hooks, compiled or not.
        backends: names of backends. ``"numpy"`` is float32 here, and has no gradients.
        level: the highest level.
        group_conv: ``"native"`` or ``"split"``, for all backends.
        optimize: prove the form for inference (see `create`) instead, up to ``forward``: it is
            compared with the network as it was, at the nodes that both have.
        images: float (N, C, H, W) with N of at least 2; drawn from a normal distribution if not
            given.
        weights: as for `create`: a file, the name of published weights, or canonical arrays. Under
            ones of your own the proof is of these, and ``gaps`` tells what they could not show; if
            not given, ones are made that let every mistake show.
        seed: of everything that is drawn.
        steps: of the training level, at least two.
        variants: what optimizers and options the training level proves, of
            `zoo.proof.variants.VARIANTS`.
        progress: told of every step; for progress bars.
        **overrides: fields of the spec, see `spec`.

    Raises:
        UnknownNameError: a model, backend, level or override that does not exist, or a level that a
            backend does not do.
        BackendNotInstalledError: a backend is missing, or PyTorch, which is the reference from
            ``batch_statistics`` on.
        InputError, WeightsError: the images or weights do not fit, or the live model is no longer
            the network that its spec describes; the layers that are not are named.

    Example:
        >>> report = parity("shufflenet_v1_0.5x_g3", backends=["numpy"], image_size=64)
        >>> report.passed
        True
    """
    live: list[Candidate] = []
    known = None
    name = model if isinstance(model, str) else None
    if not isinstance(model, Network):
        itself, wanted, given = of_model(model, weights, overrides, optimize=optimize)
        live.append(itself)
    else:
        model = known = opened(model)
        wanted, given = spec(known, **overrides), None
        if weights is not None:
            wanted, given = resolve(known, weights, overrides, adapt=False, seed=seed)
    names = [backends] if isinstance(backends, str) else list(dict.fromkeys(backends))
    if ORIGINAL in names:
        names.remove(ORIGINAL)
        live.append(of_original(model, wanted, optimize=optimize))
    candidates = live + _candidates(wanted, names, level, group_conv, optimize, alone=not live)
    trains = level not in EVALUATING
    case = make_case(
        wanted.graph,
        seed=seed,
        images=images,
        weights=given,
        steps=steps,
        variants=variants,
        modes=(False, True) if trains else (False,),
    )
    if name is None:
        name = model_name(wanted)
    elif overrides:
        name += f" ({', '.join(f'{key}={value}' for key, value in overrides.items())})"
    done: dict[str, Any] = {
        "levels": level,
        "images": list(case.images.shape),
        "seed": seed,
        "parity-zoo": version("parity-zoo"),
        "numpy": np.__version__,
        "backends": {c.engine: c.backend.describe() for c in candidates},
    }
    if optimize:
        done["optimize"] = True
    if isinstance(weights, str | Path):
        done["weights"] = str(weights)
    if any(isinstance(node.op, Dropout) and node.op.p > 0 for node in wanted.graph.nodes):
        done["dropout"] = "by itself; beyond it, and from gradients on, with p = 0"
    return prove(
        candidates,
        References(case),
        level,
        progress,
        forget=True,
        model=name,
        spec=json.loads(wanted.to_json()) | {"sha256": wanted.sha256},
        made_with=done
        | {"group_conv": group_conv, "steps": steps, "variants": list(case.variants)},
    )


EVALUATING = ("structure", "forward")
"""Levels at which networks are not in training mode."""


def prove(
    candidates: Sequence[Candidate],
    references: References,
    level: str,
    progress: Progress | None = None,
    *,
    forget: bool = False,
    **about: Any,
) -> ParityReport:
    """Return the report on candidates at every level up to one.

    Args:
        candidates: what is compared.
        references: what with.
        level: the highest level.
        progress: told of every step.
        forget: let go of what a level computed when it is done; kept, it serves further calls.
        **about: fields of the report.
    """
    levels = list(LEVELS)[: list(LEVELS).index(level) + 1]
    findings: list[Finding] = []
    seconds: dict[str, dict[str, float]] = {c.label: {} for c in candidates}
    tasks = [(step, c) for step in levels for c in candidates if c.does(step)]
    for i, (step, candidate) in enumerate(tasks):
        if progress:
            progress(f"{step}: {candidate.label}", i, len(tasks))
        start = time.perf_counter()
        findings.extend(LEVELS[step](candidate, references))
        if step == "gradients" and candidate is candidates[-1]:
            findings.extend(slope(references))
        seconds[candidate.label][step] = round(time.perf_counter() - start, 3)
        if forget and candidate is candidates[-1]:
            references.forget()
    if progress:
        progress("done", len(tasks), len(tasks))
    return ParityReport(
        level=level,
        findings=tuple(findings),
        seconds=seconds,
        coverage=references.covered(),
        **about,
    )


def _candidates(
    wanted: Spec, names: Sequence[str], level: str, group_conv: str, optimize: bool, alone: bool
) -> list[Candidate]:
    """Return the candidates; everything that can be wrong with the request is raised here."""
    if level not in LEVELS:
        raise unknown("level", level, LEVELS)
    if group_conv not in GROUP_CONV:
        raise unknown("group_conv", group_conv, GROUP_CONV)
    if optimize and level not in EVALUATING:
        raise UnknownNameError(
            f"a network for inference (optimize=True) has no level {level!r}; it has "
            f"{', '.join(EVALUATING)}"
        )
    if alone and not names:
        raise UnknownNameError("backends must name at least one backend")
    candidates = []
    realize = for_inference(group_conv) if optimize else GROUP_CONV[group_conv]
    for name in names:
        engine = backends.load(name)
        if level not in engine.LEVELS:
            raise UnknownNameError(
                f"backend {name!r} does no level {level!r}; it does {', '.join(engine.LEVELS)}"
            )
        forms = (*(["optimized"] if optimize else []), *([group_conv] * (group_conv != "native")))
        label = f"{name} ({', '.join(forms)})" if forms else name
        candidates.append(Candidate(label, engine, wanted.graph, realize))
    if level not in EVALUATING:
        try:
            backends.load("torch")
        except BackendNotInstalledError as error:
            raise BackendNotInstalledError(
                f"level {level!r} has PyTorch for its reference: {error}"
            ) from None
    return candidates
