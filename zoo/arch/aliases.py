"""What other zoos call the networks of the catalogue: another name, the same spec.

A name says which network, not whose: conventions stay the catalogue's unless they are asked for
(``conventions="torchvision"``) or come with weights.
"""

from __future__ import annotations

_WIDTHS = {"05": "0.5x", "10": "1.0x", "15": "1.5x", "20": "2.0x"}

ALIASES: dict[str, str] = {
    # MindCV.
    **{
        f"shufflenet_v1_g{groups}_{digits}": f"shufflenet_v1_{width}_g{groups}"
        for groups in (3, 8)
        for digits, width in _WIDTHS.items()
    },
    # torchvision and MindCV.
    **{
        f"shufflenet_v2_x{digits[0]}_{digits[1]}": f"shufflenet_v2_{width}"
        for digits, width in _WIDTHS.items()
    },
    # pytorchcv; its V2b of 1.5x and 2.0x have another last convolution than the paper's.
    **{f"shufflenet_g{groups}_w1": f"shufflenet_v1_1.0x_g{groups}" for groups in (1, 2, 3, 4, 8)},
    "shufflenet_g3_wd2": "shufflenet_v1_0.5x_g3",
    "shufflenetv2b_wd2": "shufflenet_v2_0.5x",
    "shufflenetv2b_w1": "shufflenet_v2_1.0x",
}
"""Their name → the catalogue's."""
