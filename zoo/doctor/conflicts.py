"""Versions that are known not to work together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement

import backends
from zoo.machine import version


@dataclass(frozen=True, slots=True)
class Known:
    """What a backend needs, and why: the same is in the extras of pyproject.toml."""

    backend: str
    requirement: str
    because: str


KNOWN = (
    Known("torch", "torch>=2.6", "the oldest version that it was written for"),
    Known("onnx", "onnx>=1.19", "the oldest version that it was written for"),
    Known("onnx", "onnxruntime>=1.22", "the oldest version that it was written for"),
    Known("openvino", "openvino>=2025.0", "the oldest version that it was written for"),
    Known("mindspore", "mindspore>=2.10,<2.11", "other versions were not tried"),
    Known("mindspore", "numpy<2", "MindSpore 2.10's PyNative mode fails with NumPy 2"),
    Known("mindspore", "ml_dtypes<0.6", "ml_dtypes 0.6 needs NumPy 2"),
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A package whose version a backend does not work with."""

    backend: str
    package: str
    version: str
    requirement: str
    because: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.package} {self.version}: backend {self.backend!r} needs {self.requirement} "
            f"({self.because}): {self.remedy}"
        )


def conflicts(versions: Mapping[str, str]) -> tuple[Conflict, ...]:
    """Return what of `KNOWN` does not hold.

    Args:
        versions: package → its version, of those that are installed.
    """
    packages = {name: entry.package for name, entry in backends.BACKENDS.items()}
    found = []
    for known in KNOWN:
        requirement = Requirement(known.requirement)
        held = versions.get(requirement.name)
        concerned = packages.get(known.backend) in versions
        if concerned and held and not requirement.specifier.contains(held, prereleases=True):
            found.append(
                Conflict(
                    known.backend,
                    requirement.name,
                    held,
                    known.requirement,
                    known.because,
                    backends.remedy(known.backend),
                )
            )
    return tuple(found)


def installed_versions() -> dict[str, str]:
    """Return package → version, of those that `KNOWN` and the backends speak of."""
    names = {Requirement(known.requirement).name for known in KNOWN}
    names |= {entry.package for entry in backends.BACKENDS.values()}
    return {name: found for name in sorted(names) if (found := version(name)) is not None}
