"""What measurements depend on: the processor, its instruction sets, cores, memory, the system."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

INSTRUCTION_SETS: dict[str, tuple[str, ...]] = {
    "SSE4.2": ("sse4_2",),
    "AVX": ("avx",),
    "FMA": ("fma",),
    "AVX2": ("avx2",),
    "AVX-VNNI": ("avx_vnni",),
    "AVX-512": ("avx512f",),
    "AVX-512 VNNI": ("avx512_vnni", "avx512vnni"),
    "AVX-512 BF16": ("avx512_bf16",),
    "AVX-512 FP16": ("avx512_fp16",),
    "AMX INT8": ("amx_int8",),
    "AMX BF16": ("amx_bf16",),
    "NEON": ("neon", "asimd"),
    "NEON dot product": ("asimddp",),
    "NEON BF16": ("bf16",),
    "NEON INT8 MM": ("i8mm",),
    "SVE": ("sve",),
    "SVE2": ("sve2",),
}
"""Name → what operating systems call it: those that libraries choose their kernels by."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as this process sees it.

    Attributes:
        cpu: the processor's name.
        architecture: as in ``"x86_64"``.
        instruction_sets: keys of `INSTRUCTION_SETS`; empty where the system tells none.
        cores: processors that this process may use (its affinity).
        cores_of_machine: all logical processors.
        memory_bytes: of the machine.
        available_bytes: what of it can be used without swapping.
        system: the operating system.
        python: its version.
    """

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    cores: int
    cores_of_machine: int
    memory_bytes: int
    available_bytes: int
    system: str
    python: str


@functools.cache
def processor() -> dict[str, Any]:
    """Return what cpuinfo tells; takes it about a second."""
    import cpuinfo

    try:
        found: dict[str, Any] = cpuinfo.get_cpu_info()
    except Exception:  # it runs other programs and code of its own; a report can do without it
        return {}
    return found


def machine() -> Machine:
    """Return what is known about this machine; takes about a second, the first time."""
    import psutil

    found = processor()
    memory = psutil.virtual_memory()
    return Machine(
        cpu=found.get("brand_raw") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        instruction_sets=instruction_sets(found.get("flags", ()), platform.machine()),
        cores=cores(),
        cores_of_machine=os.cpu_count() or 1,
        memory_bytes=memory.total,
        available_bytes=memory.available,
        system=platform.platform(terse=True),
        python=platform.python_version(),
    )


def instruction_sets(flags: Iterable[str], architecture: str) -> tuple[str, ...]:
    """Return the keys of `INSTRUCTION_SETS` that a processor has, by its flags."""
    held = set(flags)
    if architecture in ("arm64", "aarch64"):
        held.add("neon")  # all of them have it, and macOS tells no flags
    return tuple(name for name, names in INSTRUCTION_SETS.items() if held & set(names))


@functools.cache
def saturates() -> bool:
    """Return whether this processor's products of 8 bits are added up in 16, and cut off there.

    So does x86 without VNNI, whose ``vpmaddubsw`` takes two products at a time.
    """
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return False
    held = set(instruction_sets(flags(), "x86_64"))
    return not held & {"AVX-VNNI", "AVX-512 VNNI"}


def flags() -> list[str]:
    """Return a processor's flags, from where the system tells them at once if it does."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return next(
                line.partition(":")[2].split() for line in lines if line.startswith("flags")
            )
    except (OSError, StopIteration):
        return list(processor().get("flags", ()))


def version(package: str) -> str | None:
    """Return the version of an installed package, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
