"""What a file says about its weights: the network, and how pictures are prepared for it."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.arch import Spec
from zoo.arch.preprocessing import Preprocessing
from zoo.errors import WeightsError, ZooError
from zoo.families import model_name, spec_from_json

METADATA_VERSION = "1"
PICTURES = "zoo.preprocessing"
"""Where in its metadata a file says how pictures are prepared."""


def metadata(spec: Spec, dialect: str) -> dict[str, str]:
    """Return what a file says about its weights, as text."""
    return {
        "zoo.version": METADATA_VERSION,
        "zoo.model": model_name(spec),
        "zoo.spec": spec.to_json(),
        "zoo.spec_sha256": spec.sha256,
        "zoo.dialect": dialect,
    }


def stated_spec(written: Mapping[str, str], arrays: int) -> Spec | None:
    """Return the spec in the metadata of a file with so many arrays, if there is one."""
    if "zoo.optimized" in written:
        raise WeightsError(
            "holds a network for inference (optimize=True): its weights are folded and reordered, "
            "and cannot be read back; run the file as it is (zoo.open_exported)"
        )
    if "zoo.spec" not in written:
        return None
    try:
        spec = spec_from_json(written["zoo.spec"], arrays=arrays)
    except ZooError as error:
        raise WeightsError(f"the spec in the file's metadata cannot be read: {error}") from None
    if written.get("zoo.spec_sha256", spec.sha256) != spec.sha256:
        raise WeightsError(
            f"the spec in the file's metadata is damaged: its sha256 (={spec.sha256}) must be "
            f"{written['zoo.spec_sha256']}"
        )
    return spec


def stated_preprocessing(written: Mapping[str, str]) -> Preprocessing | None:
    """Return the preprocessing in a file's metadata, if there is one."""
    if PICTURES not in written:
        return None
    try:
        return Preprocessing.from_json(written[PICTURES])
    except ZooError as error:
        raise WeightsError(
            f"the preprocessing in the file's metadata cannot be read: {error}"
        ) from None
