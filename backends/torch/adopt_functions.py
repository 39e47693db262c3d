"""Functions of one number, and sums and products with numbers, among ATen's."""

from __future__ import annotations

from backends.torch.adopt_call import Node, Options, Read, UnknownError, renamed, same


def _clamp(low: str, high: str, kind: str = "clamp") -> Read:
    return lambda values: (
        kind, {"min_val": values.get(low), "max_val": values.get(high)},
    )  # fmt: skip


def _sum(sign: int) -> Read:
    def read(values: Options) -> tuple[str, Options]:
        other, alpha = values["other"], sign * values.get("alpha", 1)
        if not isinstance(other, Node):
            return "add_scalar", {"value": float(other * alpha)}
        if alpha == 1:
            return "add", {}
        return "add_times", {"alpha": float(alpha)}

    return read


def _from(values: Options) -> tuple[str, Options]:
    other, alpha = values["other"], values.get("alpha", 1)
    if isinstance(other, Node) or alpha != 1:
        raise UnknownError(f"rsub: alpha (={alpha}) must be 1, and other a number")
    return "rsub_scalar", {"value": float(other)}


def _product(values: Options) -> tuple[str, Options]:
    other = values["other"]
    return ("mul", {}) if isinstance(other, Node) else ("mul_scalar", {"value": float(other)})


def _quotient(values: Options) -> tuple[str, Options]:
    other = values["other"]
    if values.get("rounding_mode"):
        raise UnknownError(f"div: rounding_mode (={values['rounding_mode']!r}) must be None")
    return ("div", {}) if isinstance(other, Node) else ("mul_scalar", {"value": 1 / float(other)})


def _power(values: Options) -> tuple[str, Options]:
    if isinstance(values["exponent"], Node):
        raise UnknownError("pow: the exponent must be a number")
    return "pow", {"exponent": float(values["exponent"])}


def _softplus(values: Options) -> tuple[str, Options]:
    if values["beta"] != 1:
        raise UnknownError(f"softplus: beta (={values['beta']}) must be 1")
    return "softplus", {}


READ: dict[str, Read] = {
    "add": _sum(1),
    "addcmul": renamed("addcmul", value=same),
    "clamp": _clamp("min", "max"),
    "clamp_max": _clamp("", "max"),
    "clamp_min": _clamp("min", ""),
    "div": _quotient,
    "elu": renamed("elu", alpha=same, scale=same, input_scale=same),
    "erf": renamed("erf"),
    "exp": renamed("exp"),
    "gelu": renamed("gelu", approximate=same),
    "hardsigmoid": renamed("hardsigmoid"),
    "hardswish": renamed("hardswish"),
    "hardtanh": _clamp("min_val", "max_val", "hardtanh"),
    "leaky_relu": renamed("leaky_relu", negative_slope=float),
    "mish": renamed("mish"),
    "mul": _product,
    "pow": _power,
    "neg": lambda values: ("mul_scalar", {"value": -1.0}),
    "prelu": renamed("prelu"),
    "reciprocal": renamed("reciprocal"),
    "relu": renamed("relu"),
    "relu6": renamed("relu6"),
    "rsqrt": renamed("rsqrt"),
    "rsub": _from,
    "sigmoid": renamed("sigmoid"),
    "silu": renamed("silu"),
    "softplus": _softplus,
    "sqrt": renamed("sqrt"),
    "square": renamed("square"),
    "sub": _sum(-1),
    "tanh": renamed("tanh"),
}
"""ATen's function → the program's, and its options."""
