"""Where published weights are kept, and whether others may be fetched: the environment says."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of the cache."""
    from platformdirs import user_cache_dir

    folder = os.environ.get("ZOO_CACHE") or user_cache_dir("parity-zoo")
    return Path(folder).expanduser().absolute()


def is_offline() -> bool:
    """Return whether ``ZOO_OFFLINE`` says that nothing is fetched."""
    return os.environ.get("ZOO_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")
