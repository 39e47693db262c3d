"""Networks onto the Hugging Face Hub: weights, spec, proof and a page that tells them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backends as engines
import weights as arrays
from weights.address import Address, parse
from weights.pretrained import hub
from zoo.arch import Spec, cost
from zoo.arch.preprocessing import Preprocessing
from zoo.errors import WeightsError, ZooError
from zoo.families import model_name
from zoo.live import get_weights, spec_of
from zoo.loading import Network, Source, resolved
from zoo.loading import opened as read
from zoo.output import Progress, write
from zoo.passes import Weights
from zoo.proof.prove import parity
from zoo.proof.report import ParityReport

FILE = "model.safetensors"
CARD = """\
---
library_name: parity-zoo
pipeline_tag: image-classification
tags:
- image-classification
{frameworks}{license}---

# {name}

{described}, {params:,} parameters, {macs:,} multiply-adds for an image of {size}×{size}.

```python
import zoo

model = zoo.load("{address}", backend="torch")  # or mindspore, onnx, openvino, numpy
```

- `{file}`: the weights, under parity-zoo's names, with the spec in the metadata.
- `spec.json`: the network, conventions included.
- `parity.json`: the proof that the frameworks compute the same with these weights:

{proof}

{pictures}
"""


def push_to_hub(
    model: Any,
    repo: str,
    *,
    weights: Source | None = None,
    backends: Sequence[str] | None = None,
    level: str = "forward",
    license: str | None = None,
    private: bool = False,
    message: str = "Weights, spec and parity report",
    progress: Progress | None = None,
) -> str:
    """Put a network with its weights onto the Hugging Face Hub: model card, spec, parity report.

    The token is `huggingface_hub`'s (``hf auth login`` or ``HF_TOKEN``). The proof is made with
    these weights before anything is sent; what diverges is not sent.

    Args:
        model: a live model that `create` made, what `load_weights` or `adopt` returned, a file, or
            a network, whose ``weights`` are then needed.
        repo: ``"owner/repo"``, which is made if it is not there, or ``"owner/repo@branch"``.
        weights: of a network that has none with it; see `create`.
        backends: those that are proven; by default PyTorch and MindSpore, as far as installed.
        level: of the proof, see `parity`.
        license: SPDX identifier for the card.
        private: whether a new repository is for its owner alone.
        message: of the commit.
        progress: told of every step of the proof.

    Returns:
        The address from which `load` reads it back, with the commit.

    Raises:
        WeightsError: there are no weights, or the repository cannot be written to.
        ZooError: backends diverge; the first name where they do.
        NotInstalledError: there is no `huggingface_hub`.
    """
    address = parse(f"hf-hub:{repo.removeprefix('hf-hub:')}")
    if address.file:
        raise WeightsError(f"{address}: must be like owner/repo: it gets several files")
    hub.library(str(address))  # before the work
    spec, found, how = _held(model, weights)
    report = parity(
        spec, backends=_at_the_table(backends), level=level, weights=found, progress=progress
    )
    if report.failures:
        raise ZooError(f"{address}: not pushed: {report.summary()}")
    with tempfile.TemporaryDirectory() as folder, hub.told(str(address), address) as client:
        home = Path(folder)
        arrays.save_weights(home / FILE, spec, found, preprocessing=how)
        write(home / "spec.json", spec.to_json().encode())
        report.save(home / "parity.json")
        write(home / "README.md", card(address, spec, how, report, license).encode())
        api = client.HfApi()
        api.create_repo(address.repo, private=private, exist_ok=True)
        if address.revision:
            api.create_branch(address.repo, branch=address.revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=address.repo, folder_path=home, revision=address.revision,
            commit_message=message,
        )  # fmt: skip
    return str(dataclasses.replace(address, revision=done.oid))


def _held(model: Any, weights: Source | None) -> tuple[Spec, Weights, Preprocessing | None]:
    """Return a network with its weights, and how pictures are prepared for them."""
    if not isinstance(model, Network):
        how = engines.backend_of(model).graph_of(model).preprocessing
        return spec_of(model, ", which no file of weights describes"), get_weights(model), how
    model = read(model)
    if weights is None and not isinstance(model, arrays.Checkpoint):
        raise WeightsError("weights must be given: a network without any has nothing to share")
    found = resolved(model, weights, {}, adapt=False, seed=0)
    return found.spec, found.weights, found.preprocessing


def _at_the_table(names: Sequence[str] | None) -> list[str]:
    """Return the backends that are proven."""
    if names is not None:
        return list(names)
    found = []
    for name in ("torch", "mindspore"):
        try:
            engines.load(name)
        except ZooError:
            continue
        found.append(name)
    return found or ["numpy"]


def card(
    address: Address,
    spec: Spec,
    how: Preprocessing | None,
    report: ParityReport,
    license: str | None,
) -> str:
    """Return the page of a repository."""
    work = cost(spec.graph)
    known = f"Pictures: {how}." if how else "How pictures were prepared is not known."
    return CARD.format(
        frameworks="".join(
            f"- {label}\n"
            for label, name in (("pytorch", "torch"), ("mindspore", "mindspore"))
            if name in report.labels
        ),
        license=f"license: {license.lower()}\n" if license else "",
        name=model_name(spec),
        described=arrays.describe(spec),
        params=work.params,
        macs=work.macs,
        size=spec.image_size,
        address=dataclasses.replace(address, revision=None),
        file=FILE,
        proof=f"```\n{report}\n```",
        pictures=known,
    )
