"""MindSpore's fast CPU path: keep its oneDNN below AVX-512.

MindSpore 2.10 hands oneDNN plain NCHW layouts. On AVX-512 oneDNN wraps those in a kernel that then
finds
no fast implementation and runs its scalar reference: a ShuffleNet takes 20 to 40 times as long as
with the AVX2 kernels (docs/performance.md). The environment variable that oneDNN offers for this
would slow PyTorch down too where both run in one process, so the limit is set on MindSpore's own
copy of the library.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from pathlib import Path

import mindspore

SWITCH = "ZOO_MINDSPORE_ONEDNN"
"""Environment variable; ``default`` leaves oneDNN as MindSpore ships it."""

_AVX2 = 0x7  # dnnl_cpu_isa_avx2
_logger = logging.getLogger("zoo.mindspore")


@functools.cache  # oneDNN takes a limit once
def cap() -> bool:
    """Limit MindSpore's oneDNN to AVX2, say so in a log line, and return whether that was done."""
    if os.environ.get(SWITCH, "") == "default" or not _has_avx512():
        return False
    library = Path(mindspore.__file__).parent / "lib" / "libdnnl.so.3"
    if not library.exists():
        return False
    oneDNN = ctypes.CDLL(str(library))  # noqa: N806 - its name; the copy that MindSpore has loaded
    oneDNN.dnnl_set_max_cpu_isa.argtypes = [ctypes.c_int]
    done = bool(oneDNN.dnnl_set_max_cpu_isa(_AVX2) == 0)
    if done:
        _logger.warning(
            "MindSpore's oneDNN is limited to AVX2 kernels, which are many times faster here "
            "than its AVX-512 ones (set %s=default before importing to leave it alone)",
            SWITCH,
        )
    else:
        _logger.warning(
            "MindSpore has run an operator already, so its oneDNN could not be limited to AVX2: "
            "convolutions will be slow. Create the zoo's model first."
        )
    return done


def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True
