"""What MindSpore tells about itself."""

from __future__ import annotations

import mindspore as ms

from backends.mindspore import onednn


def describe() -> dict[str, str]:
    """Return the version, the threads of its pool and what was done to its oneDNN."""
    return {
        "version": ms.__version__,
        "threads": str(ms.get_context("runtime_num_threads")),
        "kernels": "up to AVX2" if onednn.cap() else "as shipped",
    }
