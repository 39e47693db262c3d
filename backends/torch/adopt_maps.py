"""What makes maps of other sizes, among ATen's."""

from __future__ import annotations

from backends.torch.adopt_call import Options, Read, UnknownError, pair, renamed, value_of


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
    widths = [*values["pad"], *[0] * 4]
    left, right, top, bottom = widths[:4]
    plain = len(value_of(values["self"]).shape) == 4 and not any(widths[4:])
    how = {"mode": values.get("mode", "constant"), "value": float(values.get("value") or 0.0)}
    if plain:
        return "pad", {"sides": (top, left, bottom, right), **how}
    return "pad_axes", {"widths": tuple(values["pad"]), **how}


def _windows(name: str) -> Read:
    return renamed(name, kernel_size=tuple, dilation=tuple, padding=tuple, stride=tuple)


READ: dict[str, Read] = {
    "adaptive_max_pool2d": renamed("adaptive_max_pool2d", output_size=pair),
    "amax": _reduction("amax"),
    "col2im": _windows("col2im"),
    "constant_pad_nd": _padded,
    "conv_transpose2d": _conv_transpose,
    "im2col": _windows("im2col"),
    "max": _reduction("amax"),
    "mean": _reduction("mean"),
    "pad": _padded,
    "sum": _reduction("sum"),
    "upsample_bilinear2d": _upsample("bilinear"),
    "upsample_nearest2d": _upsample("nearest"),
}
"""ATen's function → the program's, and its options."""
