"""What makes maps of other sizes, among ATen's."""

from __future__ import annotations

from backends.torch.adopt_call import Options, Read, UnknownError, pair, renamed


def _reduction(kind: str, name: str = "dim") -> Read:
    def read(values: Options) -> tuple[str, Options]:
        dim = values.get(name)
        if dim is None or dim == []:
            raise UnknownError(f"{kind}: over all axes")
        return kind, {
            "dim": [dim] if isinstance(dim, int) else list(dim),
            "keepdim": values.get("keepdim", False),
        }

    return read


def _conv_transpose(values: Options) -> tuple[str, Options]:
    names = ("stride", "padding", "output_padding", "dilation")
    return "conv_transpose2d", {
        **{name: pair(values[name]) for name in names}, "groups": values["groups"],
    }  # fmt: skip


def _upsample(mode: str) -> Read:
    def read(values: Options) -> tuple[str, Options]:
        return "upsample", {
            "mode": mode,
            "scale_factors": values.get("scale_factors"),
            "align_corners": values.get("align_corners", False),
        }

    return read


def _padded(values: Options) -> tuple[str, Options]:
    pads = [*values["pad"], *[0] * 4][:4]
    if len(values["pad"]) > 4 and any(values["pad"][4:]):
        raise UnknownError("pad: of others than height and width")
    left, right, top, bottom = pads
    return "pad", {
        "sides": (top, left, bottom, right),
        "mode": values.get("mode", "constant"),
        "value": float(values.get("value") or 0.0),
    }


READ: dict[str, Read] = {
    "adaptive_max_pool2d": renamed("adaptive_max_pool2d", output_size=pair),
    "amax": _reduction("amax"),
    "constant_pad_nd": _padded,
    "conv_transpose2d": _conv_transpose,
    "max": _reduction("amax"),
    "mean": _reduction("mean"),
    "pad": _padded,
    "sum": _reduction("sum"),
    "upsample_bilinear2d": _upsample("bilinear"),
    "upsample_nearest2d": _upsample("nearest"),
}
"""ATen's function → the program's, and its options."""
