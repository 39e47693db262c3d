"""Our packages as pip would install them, built by the backend that pip would call."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import zoo

HOME = Path(zoo.__file__).parents[1]
PACKAGES = ("zoo", "weights", "backends")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])('dist')"


def copy_sources(tree: Path) -> Path:
    """Copy what the packages are built from, since builds leave things behind."""
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HOME / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOME / name, tree / name)
    return tree


def build(tree: Path, how: str) -> zipfile.ZipFile:
    """Build a wheel, ``how`` being the name of PEP 517's or 660's hook."""
    shutil.rmtree(tree / "dist", ignore_errors=True)
    (tree / "dist").mkdir()
    command = [sys.executable, "-c", BUILD, how]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    return zipfile.ZipFile(wheel)
