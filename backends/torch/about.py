"""What PyTorch tells about itself."""

from __future__ import annotations

import torch


def describe() -> dict[str, str]:
    """Return the version, the threads of an operator and the instruction set of the kernels."""
    return {
        "version": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "kernels": torch.backends.cpu.get_cpu_capability(),
    }
