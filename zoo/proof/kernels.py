"""What a kernel may round: the part of a bound that is measured, for each operator and backend.

An operator's error is counted in units of what it adds up (`zoo.proof.local.magnitude`), where it
hardly depends on the network: a sum of two values is off by one rounding of float32 (2^-24 = 6e-8
of the unit), any convolution of the catalog by nine, whatever computes it. So one number serves
nearly all, and the few kernels that are coarser stand here by name. ``zoo doctor --kernels``
measures them all; what it found is in ``benchmarks/results/kernels.json``.
"""

from __future__ import annotations

import numpy as np

from zoo.arch import Operator
from zoo.arch.operators import ELU, BatchNorm2d, Mish, Sigmoid, SiLU

ORDINARY = 16
"""Roundings that a kernel may lose; the largest that was measured is 9."""
FUSED = 64
"""Likewise, where a run-time goes on with something else than it hands out: ONNX Runtime multiplies
the weights of linear layers that follow each other. 42 is the largest that was measured (2.5e-6, of
EfficientNet-B0's gates)."""
FUSING = ("onnx", "openvino")
COARSE: dict[tuple[str, type[Operator]], float] = {
    ("mindspore", Sigmoid): 3.1e-6,
    ("mindspore", SiLU): 3.1e-6,
    ("mindspore", ELU): 3.1e-6,
    ("mindspore", Mish): 0.7e-6,
}
"""(backend, operator) → error as measured, where a kernel approximates.

MindSpore's sigmoid does with AVX2, though less with AVX-512 (1.4e-6), and SiLU is made of it:
the same 1.4e-6 was measured of it, with AVX-512. Its exponential function is the cause: what is
made of that alone was measured with AVX-512."""
COARSE_IN_TRAINING: dict[tuple[str, type[Operator]], float] = {
    ("mindspore", BatchNorm2d): 1.05e-6,
}
"""Likewise, in training mode.

MindSpore adds up a batch's statistics value by value where the channels are no multiple of its
vectors: 18 roundings for the 2x56x56 values of each of V2-50's 122 channels."""
MARGIN = 3
"""How much more than was measured is admitted of a coarse kernel."""
COARSEST = 5e-6
"""No entry may be larger: from there on a fault begins to look like rounding."""


def ordinary(dtype: str = "float32") -> float:
    """Return what any kernel may be off by, in units of its magnitude."""
    return ORDINARY * float(np.finfo(dtype).eps) / 2


def admitted(
    backend: str, op: Operator, dtype: str = "float32", *, training: bool = False
) -> float:
    """Return the largest error of an operator on a backend, in units of its magnitude."""
    if not op.traits.rounds:
        return 0.0
    tables = (COARSE, COARSE_IN_TRAINING) if training else (COARSE,)
    coarsest = max(table.get((backend, type(op)), 0.0) for table in tables)
    fused = FUSED / ORDINARY if backend in FUSING else 1.0
    return max(fused * ordinary(dtype), MARGIN * coarsest)
