"""What measured numbers depend on: the processor, its instruction sets, and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any


def machine(libraries: Iterable[str]) -> dict[str, Any]:
    """Return the processor, the system and the versions of libraries."""
    cpu: dict[str, str] = {}
    if Path("/proc/cpuinfo").exists():
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        pairs = (line.partition(":")[::2] for line in first.splitlines())
        cpu = {key.strip(): value.strip() for key, value in pairs}
    flags = cpu.get("flags", "").split()
    return {
        "cpu": cpu.get("model name") or platform.processor(),
        "cpu_family_model": f"{cpu.get('cpu family', '?')}/{cpu.get('model', '?')}",
        "isa": [f for f in flags if f.startswith(("avx", "amx", "fma", "sse4"))],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in libraries},
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
