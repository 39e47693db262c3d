"""What the tables of MobileNets and those after them share: timm names all of them alike."""

from collections.abc import Iterable, Iterator, Sequence

UNIT = "stage{stage}.{unit}"
Rules = tuple[tuple[str, str], ...]


def timm(*, expands: bool = True, gated: bool = False) -> Rules:
    """Return timm's rules: units that expand name their layers otherwise than those that do not.

    Args:
        expands: whether units may expand.
        gated: whether they may have squeeze and excitation.
    """
    separable, inverted = (f"blocks.{{stage-1:{kind}}}.{{unit}}" for kind in ("ds", "ir"))
    gates = (
        (f"{UNIT}.se.squeeze", "blocks.{stage-1}.{unit}.se.conv_reduce"),
        (f"{UNIT}.se.excite", "blocks.{stage-1}.{unit}.se.conv_expand"),
    )
    inside = (
        (f"{UNIT}.expand.conv", f"{inverted}.conv_pw"),
        (f"{UNIT}.expand.bn", f"{inverted}.bn1"),
        (f"{UNIT}.depthwise.conv", f"{inverted}.conv_dw"),
        (f"{UNIT}.depthwise.bn", f"{inverted}.bn2"),
        (f"{UNIT}.project.conv", f"{inverted}.conv_pwl"),
        (f"{UNIT}.project.bn", f"{inverted}.bn3"),
    )
    return (
        ("stem.conv", "conv_stem"),
        ("stem.bn", "bn1"),
        (f"{UNIT}.depthwise.conv", f"{separable}.conv_dw"),
        (f"{UNIT}.depthwise.bn", f"{separable}.bn1"),
        (f"{UNIT}.project.conv", f"{separable}.conv_pw"),
        (f"{UNIT}.project.bn", f"{separable}.bn2"),
        *(inside if expands else ()),
        *(gates if gated else ()),
    )


TIMM_END: Rules = (("last.conv", "conv_head"), ("last.bn", "bn2"), ("classifier", "classifier"))


KINDS = (
    ("depthwise", "project"),
    ("depthwise", "se", "project"),
    ("expand", "depthwise", "project"),
    ("expand", "depthwise", "se", "project"),
)
"""The layers that units have, in their order: a kind each."""


def numbered(place: str, kinds: Iterable[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield torchvision's rules for units that are lists of layers, a number for each.

    Args:
        place: theirs of such a list, with ``@`` where the kind of unit is to stand.
        kinds: of `KINDS`.
    """
    for layers in kinds:
        for number, layer in enumerate(layers):
            theirs = f"{place.replace('@', '_'.join(layers))}.{number}"
            if layer == "se":
                yield f"{UNIT}.se.squeeze", f"{theirs}.fc1"
                yield f"{UNIT}.se.excite", f"{theirs}.fc2"
            else:
                yield f"{UNIT}.{layer}.conv", f"{theirs}.0"
                yield f"{UNIT}.{layer}.bn", f"{theirs}.1"


def flat(place: str, kinds: Iterable[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield rules for units in which convolution, batch norm and activation have a number each."""
    for layers in kinds:
        number, list_ = 0, place.replace("@", "_".join(layers))
        for layer in layers:
            if layer == "se":
                yield f"{UNIT}.se.squeeze", f"{list_}.{number}.conv_reduce"
                yield f"{UNIT}.se.excite", f"{list_}.{number}.conv_expand"
                number += 1
            else:
                yield f"{UNIT}.{layer}.conv", f"{list_}.{number}"
                yield f"{UNIT}.{layer}.bn", f"{list_}.{number + 1}"
                number += 3
