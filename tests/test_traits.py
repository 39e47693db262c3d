"""What operators state of themselves is what the reference and PyTorch show, and must be stated."""

from __future__ import annotations

import dataclasses
from abc import ABC
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
import torch
from operator_table import TABLE

from backends.numpy.operators import apply
from backends.torch.operators import OPERATORS, layer
from zoo.arch import Graph, Node, Operator, Traits
from zoo.arch.operator import Sign
from zoo.arch.operators import (
    BatchNorm2d,
    ChannelShuffle,
    Clamp,
    Concat,
    Conv2d,
    Dropout,
    Expand,
    Flatten,
    HardSwish,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool2d,
    Mul,
    Pow,
    Reduce,
    ReLU,
    ScaledDotProductAttention,
    Sigmoid,
    Slice,
    Window,
)
from zoo.blocks import Inline
from zoo.errors import GraphError

STEP = 1 / 16
"""Between the places where kinks are looked for: all are at multiples of it."""
NEAR = (-STEP / 64, STEP / 64)
JUMP = 0.1
"""More than any derivative here changes between two such places without a kink."""


def inputs_for(op, rng):
    if isinstance(op, Linear | LayerNorm):
        return [rng.standard_normal((4, 12))]
    shapes = [(4, 12, 6, 6)] * (2 if op.arity is None else op.arity)
    if isinstance(op, Expand):
        shapes[0] = (1, 12, 6, 6)
    if isinstance(op, MatMul):
        shapes = [(4, 12, 6), (4, 6, 12)]
    if isinstance(op, ScaledDotProductAttention):
        shapes = [(4, 12, 6)] * 3
    if isinstance(op, Mul):
        shapes[1] = (4, 12, 1, 1)  # a gate
    inputs = [rng.standard_normal(shape) for shape in shapes]
    return [np.abs(x) for x in inputs] if op == TABLE["reciprocal of a root"] else inputs


def held_for(op, rng):
    return {
        role: rng.uniform(0.5, 1.5, p.shape)
        * (1 if role == "running_var" else rng.choice([-1, 1], p.shape))
        for role, p in op.parameters().items()
    }


def run(op, inputs, seed=1):
    held = held_for(op, np.random.default_rng(seed))
    return apply(op, [np.array(x) for x in inputs], held, not isinstance(op, Dropout))


def is_elementwise(op, rng):
    inputs = inputs_for(op, rng)
    before = run(op, inputs)
    if not inputs or any(x.shape != before.shape for x in inputs):
        return False
    place = (2, 7, 3, 4)[: before.ndim]
    for x in inputs:
        x[place] += 0.7
    changed = run(op, inputs) != before
    changed[place] = False
    return not changed.any()


def mixes(op, rng):
    """Return whether a channel of the output depends on others than its own."""
    inputs = inputs_for(op, rng)
    before = run(op, inputs)
    for x, other in zip(inputs, inputs_for(op, rng), strict=True):
        for channel in range(x.shape[1]):
            kept = x[:, channel].copy()
            x[:, channel] = other[:, channel]
            changed = (run(op, inputs) != before).any(tuple({*range(before.ndim)} - {1}))
            x[:, channel] = kept
            pixels = x[0, 0].size if isinstance(op, Flatten) else 1
            if {*np.flatnonzero(changed) // pixels} - {channel}:
                return True
    return False


def sign(op, rng):
    lowest = {"any": 0.0, "positive": 0.0}
    for seed in range(5):
        inputs = inputs_for(op, rng)
        lowest["any"] = min(lowest["any"], run(op, inputs, seed).min())
        positive = run(op, list(map(np.abs, inputs)), seed)
        lowest["positive"] = min(lowest["positive"], positive.min())
    if lowest["any"] == 0:
        return "nonnegative"
    return "kept" if lowest["positive"] == 0 else "free"


def kinks(op):
    """Return where the slope of a function of one number jumps."""
    ends = np.arange(-160, 161) * STEP + STEP / 2
    if isinstance(op, Pow):  # infinite at 0
        ends = ends[ends > 2]
    shape = (1, 12, 1, len(ends))
    others = [np.zeros(shape)] * ((op.arity or 1) - 1)
    near = [run(op, [np.broadcast_to(ends + h, shape), *others], 2)[0, :, 0] for h in NEAR]
    slopes = (near[1] - near[0]) / (NEAR[1] - NEAR[0])
    # Beside the slope itself: a smooth function may be steep.
    jumps = (np.abs(np.diff(slopes)) / np.abs(slopes[:, :-1]).clip(1)).max(0)
    return tuple((ends[:-1][jumps > JUMP] + STEP / 2).tolist())


def rounds(op, rng):
    """Return whether values are made that are neither the input's nor constants."""
    inputs = [3 * x for x in inputs_for(op, rng)]
    constants = {0.0, *op.kinks}
    return not {*run(op, inputs).flat} <= constants.union(*(x.flat for x in inputs))


def in_torch(op, rng, *, over=False):
    """Run an operator in PyTorch; return its inputs, output and leaves to take gradients of."""
    leaves = [torch.tensor(x).requires_grad_() for x in inputs_for(op, rng)]
    inputs = tuple(leaf.clone() for leaf in leaves)
    shape = tuple(inputs[0].shape) if inputs else ()
    entry = OPERATORS[type(op)](op, shape)
    if over and isinstance(entry, Inline):
        assert entry.in_place is not None
        held = dict(zip("xy", inputs, strict=True))
        exec(entry.in_place.format("x", "y"), held)
        return inputs, held["y"], leaves
    torch.manual_seed(0)
    module = layer(op, shape).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    if over:
        assert isinstance(module.inplace, bool)
        module.inplace = True
    return inputs, module.train(not isinstance(op, Dropout))(*inputs), leaves


def shares(x, y):
    return x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()


def result(op):
    """Return what becomes of a result that its reader overwrites."""
    for over in (False, True)[: 1 + op.traits.overwrites]:
        inputs, y, _ = in_torch(op, np.random.default_rng(0), over=over)
        if not over and any(shares(x, y) for x in inputs):
            return "view"
        loss = y.sum()
        y.add_(1)
        try:
            loss.backward()
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error)  # noqa: PT017
            return "saved"
    return "own"


@pytest.mark.parametrize("name", TABLE)
def test_traits_are_what_the_reference_shows(name, rng):
    op = TABLE[name]
    traits = op.traits
    assert is_elementwise(op, rng) == traits.elementwise
    if traits.channels != "moved":
        assert mixes(op, rng) == op.mixes_channels
    assert op.mixes_channels <= (traits.channels == "mixed")
    # A kind states what all of it keep; an operator of it may keep more.
    signs = get_args(Sign)
    assert signs.index(sign(op, rng)) >= signs.index(traits.sign)
    if traits.elementwise:
        assert kinks(op) == op.kinks
    if not isinstance(op, Dropout):  # which scales in training only
        assert rounds(op, rng) <= traits.rounds


def test_no_kind_states_less_than_all_of_it_keep(rng):
    for kind in {type(op) for op in TABLE.values()} - {Dropout}:
        ops = [op for op in TABLE.values() if type(op) is kind]
        signs = get_args(Sign)
        assert min(signs.index(sign(op, rng)) for op in ops) == signs.index(kind.traits.sign), kind
        # A bound of a clamp may be a number that float32 does not have.
        assert any(rounds(op, rng) for op in ops) == (kind.traits.rounds and kind is not Clamp)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_said_to_move_channels_does_that_alone(name, rng):
    op = TABLE[name]
    inputs = inputs_for(op, rng)
    order = op.moved([x.shape[1] for x in inputs])
    assert (order is not None) == (op.traits.channels == "moved")
    if order is not None:
        np.testing.assert_array_equal(
            run(op, inputs), np.concatenate(inputs, axis=1)[:, np.array(order)]
        )


def test_results_are_what_pytorch_shows():
    seen = {}
    for op in TABLE.values():
        if op.arity == 0:  # it hands out its own array, which nobody may write over
            assert op.traits.result == "view"
            continue
        seen.setdefault(type(op), set()).add(result(op))
    # Where PyTorch has no kernel of its own, a shuffle of one group is the value itself.
    assert seen.pop(ChannelShuffle) == {"own"}
    assert ChannelShuffle.traits.result == "view"
    # Of the reductions, the largest value alone.
    assert seen.pop(Reduce) == {"own", Reduce.traits.result}
    assert seen == {kind: {kind.traits.result} for kind in seen}


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.traits.overwrites])
def test_what_overwrites_its_last_input_computes_the_same(name):
    found = []
    for over in (False, True):
        inputs, y, leaves = in_torch(TABLE[name], np.random.default_rng(0), over=over)
        assert shares(inputs[-1], y) == over
        value = y.detach().clone()
        (y * torch.arange(y.numel()).reshape(y.shape)).sum().backward()
        found.append([value, *(leaf.grad for leaf in leaves)])
    for there, here in zip(*found, strict=True):
        assert torch.equal(there, here)


def test_other_traits_would_be_seen(rng):
    """Each kind of answer is given to some operator: no measure says the same to all."""
    assert not is_elementwise(BatchNorm2d(num_features=12, eps=1e-5, momentum=0.1), rng)
    assert is_elementwise(ReLU(), rng)
    assert {mixes(TABLE[name], rng) for name in ("group conv 1x1", "global avg pool")} == {0, 1}
    assert {rounds(op, rng) for op in (HardSwish(), TABLE["max pool"])} == {True, False}
    assert {sign(op, rng) for op in TABLE.values()} == {"free", "kept", "nonnegative"}
    assert (kinks(Sigmoid()), kinks(HardSwish())) == ((), (-3, 3))
    assert {result(op) for op in (Sigmoid(), Concat(), TABLE["slice"])} == {"saved", "own", "view"}


def test_regions_lie_between_the_kinks_and_beyond():
    inf = float("inf")
    assert HardSwish.traits.regions == ((-inf, -3), (-3, 3), (3, inf))
    assert ReLU.traits.regions == ((-inf, 0), (0, inf))
    assert Sigmoid.traits.regions == ()


def define(base, **body):
    made = type("Swish6", (base,), {"__module__": __name__, **body})
    return dataclass(frozen=True, slots=True, kw_only=True)(made)


OWN = {
    "elementwise": True,
    "channels": "each",
    "sign": "free",
    "kinks": (0, 6),
    "rounds": True,
    "overwrites": False,
    "result": "own",
}
MOVING = {"elementwise": False, "channels": "moved", "kinks": ()}


def test_an_operator_that_states_its_traits_is_made():
    made = define(Operator, traits=Traits(**OWN))
    assert made().traits == Traits(**OWN)
    assert not made().mixes_channels
    assert made().moved([4]) is None


@pytest.mark.parametrize("base", [Operator, HardSwish, MaxPool2d, Window])
def test_an_operator_takes_over_no_traits(base):
    with pytest.raises(GraphError, match=r"Swish6: an operator must state its traits \(= Traits"):
        define(base)
    # what already looks at its traits is not to be fooled by a look-alike either
    with pytest.raises(GraphError, match="Swish6: an operator must state its traits"):
        define(base, traits=OWN)


MALFORMED = {
    "Swish6: kinks (=(6, 0)) must be a tuple of finite numbers, ascending": {"kinks": (6, 0)},
    "Swish6: kinks (=(0, 0)) must be a tuple of finite numbers, ascending": {"kinks": (0, 0)},
    "Swish6: kinks (=0) must be a tuple of finite numbers, ascending": {"kinks": 0},
    "Swish6: kinks (=(0, inf)) must be a tuple of finite numbers, ascending":
        {"kinks": (0, float("inf"))},
    "Swish6: kinks (=(0, 6)) must be () with elementwise (=False)": {"elementwise": False},
    "Swish6: overwrites (=True) must be False with elementwise (=False)":
        {"elementwise": False, "kinks": (), "overwrites": True},
    "Swish6: channels (='mixed') must be 'each' with elementwise (=True)": {"channels": "mixed"},
    "Swish6: sign (='positive') must be one of free, kept, nonnegative": {"sign": "positive"},
    "Swish6: channels (='some') must be one of each, moved, mixed": {"channels": "some"},
    "Swish6: result (='new') must be one of own, view, saved": {"result": "new"},
    "Swish6: channels (='moved') must be 'moved' with a method `moved` that tells where to, and "
    "only with it": MOVING,
}  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED)
def test_traits_that_are_not_possible_are_refused(message):
    with pytest.raises(GraphError) as error:
        define(Operator, traits=Traits(**OWN | MALFORMED[message]))
    assert str(error.value) == message


def test_a_move_must_be_stated_as_one():
    with pytest.raises(GraphError, match=r"Swish6: channels \(='each'\) must be 'moved' with a"):
        define(Operator, traits=Traits(**OWN), moved=lambda self, sizes: sizes)


def test_a_trait_that_is_left_out_is_named():
    for name in OWN:
        with pytest.raises(TypeError, match=f"argument: '{name}'"):
            Traits(**{key: value for key, value in OWN.items() if key != name})


def test_bases_state_nothing_and_are_no_operators_of_a_graph():
    base = dataclasses.make_dataclass("Base", [], bases=(Operator, ABC), frozen=True, slots=True)
    for op in (base(), Window(kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)), object()):
        name = type(op).__name__
        with pytest.raises(GraphError) as error:
            Graph(4, (8, 8), (Node("act", op, ("input",)),), ("act",))
        assert str(error.value) == f"act: {name} is no operator: it states no traits"


def test_a_depthwise_convolution_mixes_no_channels():
    values = dict(kernel_size=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1), in_channels=8)
    assert not Conv2d(**values, out_channels=8, groups=8).mixes_channels
    assert Conv2d(**values, out_channels=8, groups=4).mixes_channels
    assert Conv2d(**values, out_channels=16, groups=8).mixes_channels  # two filters a channel
    assert Slice(start=0, stop=2).moved([4]) == range(2)
