"""Names of classes: what people would call a block, and what tells it from others of its kind."""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence

from zoo.blocks.tree import Block, Leaf

SHORT = {"BatchNorm2d": "BN", "Conv2d": "Conv", "MaxPool2d": "MaxPool", "AvgPool2d": "AvgPool"}
SHORT |= {"GlobalAvgPool2d": "GlobalAvgPool"}


def camel(name: str) -> str:
    """Return a name of scopes as a name of classes: ``squeeze_excite`` → ``SqueezeExcite``."""
    parts = [part for part in re.split(r"[_\W]", name) if part]
    return "".join(p.upper() if len(p) <= 2 else p[0].upper() + p[1:] for p in parts)


def family(name: str) -> str:
    """Return a family's name as a class's: ``shufflenet_v2_plus`` → ``ShuffleNetV2Plus``."""
    return re.sub(r"net(?=\W|_|\d|$)", "Net", camel(name.replace("net_", "Net_")))


def free(name: str, taken: Container[str]) -> str:
    """Return a name that a class can have: scopes are called as their authors liked."""
    name = name if name.isidentifier() else f"Network{name}"
    reserved = name in taken or keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}Block" if reserved else name


def base(block: Block, network: str) -> str:
    """Return what a block is called unless others are called so too."""
    if block.is_chain and all(isinstance(step, Leaf) for step in block.steps):
        return "".join(SHORT.get(s.kind, s.kind) for s in block.steps if isinstance(s, Leaf))
    if block.label.isdigit():
        return f"{network}Unit"
    if block.is_chain and not any(step.label.isdigit() for step in block.steps):
        return "".join(camel(step.label) for step in block.steps)
    return camel(block.label.rpartition(".")[2].rstrip("0123456789_-")) or "Block"


def words(block: Block, reduces: bool) -> list[str]:
    """Return what a block has that others of its name may not have, the telling ones first."""
    found = ["Down"] if reduces else []
    found += [camel(inner.label) for inner in block.blocks() if inner is not block]
    found += [kind for kind in _kinds(block) if kind not in SHORT]
    return list(dict.fromkeys(word for word in found if word.isidentifier()))


def _kinds(block: Block) -> Iterator[str]:
    """Yield the operators of a block and its chains: others have ways of their own."""
    for step in block.steps:
        if isinstance(step, Leaf):
            yield step.kind
        elif step.is_chain:
            yield from _kinds(step)


def tell_apart(name: str, blocks: Sequence[list[str]]) -> list[str]:
    """Return a name for each of several blocks that have one name, from the words of each."""
    if len(blocks) == 1:
        return [name]
    counts = Counter(word for words in blocks for word in words)
    rest = [[word for word in words if 2 * counts[word] <= len(blocks)] for words in blocks]
    names: dict[int, str] = {}
    for i in sorted(range(len(rest)), key=lambda i: -len(rest[i])):
        others = [set(rest[j]) for j in range(len(rest)) if j != i and j not in names]
        chosen: tuple[str, ...] = ()
        for size in range(len(rest[i]) + 1):
            sets = list(itertools.combinations(rest[i], size))
            good = [c for c in sets if not any(set(c) <= other for other in others)]
            if good or size > 3:
                chosen = good[0] if good else tuple(rest[i])
                break
        prefix = re.fullmatch(r"(.*?)(Unit)?", name)
        assert prefix is not None
        names[i] = (prefix[1] or "") + "".join(chosen) + (prefix[2] or "")
    taken: set[str] = set()
    result = []
    for i in range(len(blocks)):
        options = itertools.chain([names[i]], (f"{names[i]}{n}" for n in itertools.count(2)))
        result.append(next(option for option in options if option not in taken))
        taken.add(result[-1])
    return result
