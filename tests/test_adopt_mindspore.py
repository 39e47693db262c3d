"""MindSpore Cells and MINDIR files as networks: read, run on every backend, proven."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from catalog_rows import EACH_KIND, small
from conftest import BACKENDS
from mindspore import Parameter, Tensor, nn, ops

import backends
import zoo
from zoo.arch import operators

SIZE = 32


class DropPath(nn.Cell):
    """As MindCV has it."""

    def __init__(self, drop_prob):
        super().__init__()
        self.keep_prob = 1 - drop_prob
        self.dropout = nn.Dropout(p=drop_prob)

    def construct(self, x):
        if self.keep_prob == 1.0 or not self.training:
            return x
        return x * self.dropout(ops.ones((x.shape[0], 1, 1, 1)))


class Excite(nn.Cell):
    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, 4, 1, has_bias=True)
        self.up = nn.Conv2d(4, channels, 1, has_bias=True)

    def construct(self, x):
        y = self.up(ops.silu(self.down(x.mean((2, 3), keep_dims=True))))
        return ops.sigmoid(y) * x  # the gate stands first


class Unit(nn.Cell):
    """A residual with a shuffle by hand, one activation called twice, and a swish by hand."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, pad_mode="pad", padding=1, group=2)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.8)
        self.act = nn.ReLU()
        self.excite = Excite(channels)
        self.drop_path = DropPath(0.25)

    def construct(self, x):
        n, c, h, w = x.shape
        y = self.act(self.bn(self.conv(x)))
        y = y.reshape(n, 2, c // 2, h, w).transpose(0, 2, 1, 3, 4).reshape(n, c, h, w)
        y = self.drop_path(self.excite(y))
        y = y * ops.sigmoid(y)
        return self.act(x + y)


class Means(nn.Cell):
    """Two operators in a Cell, of which it hands out the second's value alone."""

    def construct(self, x):
        return x.mean((2, 3))


class Theirs(nn.Cell):
    def __init__(self, classes=7):
        super().__init__()
        self.stem = nn.SequentialCell(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU6(),  # padded as the image asks
        )
        self.body = nn.CellList([Unit(8), Unit(8)])
        self.tail = nn.SequentialCell(nn.Conv2d(8, 8, (1, 3), has_bias=True), nn.HSwish())
        self.max = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
        self.average = nn.AvgPool2d(3, 2, pad_mode="pad", padding=1)
        self.pool = nn.AdaptiveAvgPool2d((3, 2))
        self.drop = nn.Dropout(p=0.2)
        self.means = Means()
        self.fc = nn.Dense(56, classes)
        self.auxiliary = nn.Dense(56, classes)  # in training alone

    def construct(self, x):
        x = self.stem(x)
        for unit in self.body:
            x = unit(x)
        first, second = ops.chunk(self.tail(x), 2, 1)
        x = ops.cat((self.max(first), self.average(second)), 1)
        x = ops.cat((ops.flatten(self.pool(x)), self.means(x)), 1)
        if self.training:
            return self.fc(self.drop(x)), self.auxiliary(x)
        return self.fc(self.drop(x))


def randomized(cell, seed=0):
    rng = np.random.default_rng(seed)
    for name, p in cell.parameters_and_names():
        if name.endswith(("moving_variance", "gamma")):
            p.set_data(Tensor(rng.uniform(0.5, 2, p.shape).astype(np.float32)))
        elif p.ndim < 2:
            p.set_data(Tensor(rng.normal(0, 0.3, p.shape).astype(np.float32)))
        else:
            scale = (2 / np.prod(p.shape[1:])) ** 0.5
            p.set_data(Tensor(rng.normal(0, scale, p.shape).astype(np.float32)))
    return cell


@pytest.fixture(scope="module")
def theirs():
    return randomized(Theirs())


@pytest.fixture(scope="module")
def net(theirs):
    return zoo.adopt(theirs, example=(2, 3, SIZE, SIZE))


def agreement(cell, net, backend, rng, size=SIZE):
    """Return how far a backend's model is from the Cell, of its largest value."""
    x = rng.standard_normal((3, 3, size, size)).astype(np.float32)
    wanted = cell.set_train(False)(Tensor(x)).asnumpy()
    model = zoo.create(net, backend=backend)
    (found,) = backends.backend_of(model).predict(model, x)
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.sweep(quick=["torch", "mindspore"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_computes_what_the_cell_does(backend, theirs, net, rng):
    assert agreement(theirs, net, backend, rng) < 5e-6


def test_functions_are_of_the_cell_that_calls_them(net):
    """Nodes of functions say that they are of the first Cell that calls the function."""
    assert {node.name for node in net.graph.nodes} == {
        "stem.0", "stem.1", "stem.2",
        *(f"body.{i}.{name}" for i in range(2) for name in (
            "conv", "bn", "act", "channel_shuffle", "excite.mean", "excite.down", "excite.silu",
            "excite.up", "excite.sigmoid", "excite.mul", "drop_path", "silu", "add", "act_1",
        )),
        "tail.0", "tail.1", "slice", "slice_1", "max", "average", "cat", "pool", "flatten", "means",
        "means_flatten", "cat_1", "drop", "fc",
    }  # fmt: skip


def test_what_training_does_is_said_by_our_operators(net):
    ops_ = {node.name: node.op for node in net.graph.nodes}
    assert ops_["body.1.drop_path"] == operators.Dropout(p=0.25, of="image")
    assert ops_["drop"] == operators.Dropout(p=0.2)
    assert ops_["body.0.bn"] == operators.BatchNorm2d(num_features=8, eps=1e-3, momentum=0.2)
    assert ops_["body.0.channel_shuffle"] == operators.ChannelShuffle(groups=2, order="gn")
    assert ops_["stem.0"].padding == "SAME_UPPER"
    assert ops_["tail.0"].padding == (0, 1, 0, 1)
    assert net.notes == ("no output depends on auxiliary.bias, auxiliary.weight: left out",)


def test_a_cell_is_left_as_it_was_found(rng):
    cell = Theirs().set_train(True)
    cell.body[0].set_train(False)
    calls = []
    cell.fc.register_forward_hook(lambda *_: calls.append(1))
    before = [
        (path, type(part), part.training, list(part._cells), list(part._params))
        for path, part in cell.cells_and_names()
    ]
    arrays = {p.name: p.asnumpy().copy() for p in cell.get_parameters()}
    np.random.seed(3)
    ms.set_seed(3)
    wanted = np.random.rand(), ops.standard_normal((2,)).asnumpy()
    np.random.seed(3)
    ms.set_seed(3)
    mode = ms.get_context("mode")
    net = zoo.adopt(cell, example=(1, 3, SIZE, SIZE))
    np.testing.assert_equal((np.random.rand(), ops.standard_normal((2,)).asnumpy()), wanted)
    assert ms.get_context("mode") == mode
    assert before == [
        (path, type(part), part.training, list(part._cells), list(part._params))
        for path, part in cell.cells_and_names()
    ]
    assert all(np.array_equal(p.asnumpy(), arrays[p.name]) for p in cell.get_parameters())
    assert len(arrays) == len([*cell.get_parameters()])
    with pytest.raises(zoo.AdoptionError, match="1: Lgamma is no operator"):
        zoo.adopt(broken := nn.SequentialCell(nn.Dropout(p=0.5), Error()), example=(2, 3, 8, 8))
    assert type(broken[0]) is nn.Dropout
    cell.fc.weight.set_data(ops.zeros_like(cell.fc.weight))
    assert np.any(net["fc.weight"])  # a copy
    x = Tensor(rng.standard_normal((2, 3, SIZE, SIZE)).astype(np.float32))
    assert cell.set_train(False)(x).shape == (2, 7)
    assert calls


class Error(nn.Cell):
    def construct(self, x):
        return ops.lgamma(x)


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def file(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("mindir") / "theirs.mindir"
    x = Tensor(np.zeros((2, 3, SIZE, SIZE), np.float32))
    ms.export(theirs.set_train(False), x, file_name=str(path), file_format="MINDIR")
    return path


def test_a_file_is_the_same_network_for_inference(file, net, theirs, rng):
    read = zoo.adopt(file, example=(2, 3, SIZE, SIZE))
    kept = [node.op for node in net.graph.nodes if not isinstance(node.op, operators.Dropout)]
    momentum = {"momentum": 0.1}  # which no file tells
    assert [node.op for node in read.graph.nodes] == [
        dataclasses.replace(op, **momentum) if hasattr(op, "momentum") else op for op in kept
    ]
    assert all(np.array_equal(read[name], net[name]) for name in net)
    assert agreement(theirs, read, "torch", rng) < 5e-6


def test_a_file_needs_no_mindspore(file):
    code = (
        "import sys; sys.modules['mindspore'] = None; import zoo; "
        f"print(len(zoo.adopt({str(file)!r}, example=(2, 3, {SIZE}, {SIZE})).graph.nodes))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("42", "")


class Written(nn.Cell):
    """What MindSpore can write to ONNX files: no HSwish, no Erf, no open batch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.SequentialCell(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Conv2d(8, 8, 3, pad_mode="pad", padding=1, group=8)
        self.norm = nn.LayerNorm((8,), epsilon=1e-5)
        self.fc = nn.Dense(8, 7)

    def construct(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return self.fc((x + ops.gelu(y, approximate="tanh")).mean((2, 3)))


@pytest.mark.exhaustive
def test_onnx_files_that_mindspore_writes(tmp_path, rng):
    cell = randomized(Written()).set_train(False)
    x = rng.standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    ms.export(cell, Tensor(x), file_name=str(tmp_path / "net"), file_format="ONNX")
    net = zoo.adopt(tmp_path / "net.onnx")  # of the size that it states
    assert net.graph.input_shape == (1, 3, SIZE, SIZE)
    kinds = {type(node.op) for node in net.graph.nodes}
    assert {operators.BatchNorm2d, operators.LayerNorm, operators.GELU} <= kinds
    for backend in "torch", "mindspore":
        assert agreement(cell, net, backend, rng) < 5e-6


class Pairs(nn.Cell):
    """As MindCV's ShuffleNet V2 shuffles: of each pair of channels, one passes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(4, 8, 1)

    def construct(self, x):
        x = self.first(x)
        n, c, h, w = x.shape
        pairs = x.reshape(n * c // 2, 2, h * w).transpose(1, 0, 2).reshape(2, -1, c // 2, h, w)
        return ops.concat((pairs[0], self.second(pairs[1])), 1).mean((2, 3))


def test_images_that_are_moved_away_come_back(rng):
    cell = Pairs()
    net = zoo.adopt(cell, example=(2, 3, 8, 8))
    found = [node.op for node in net.graph.nodes if node.op.traits.channels == "moved"]
    assert found[:3] == [
        operators.ChannelShuffle(groups=2, order="ng"),
        operators.Slice(start=0, stop=4),
        operators.Slice(start=4, stop=8),
    ]
    assert agreement(cell, net, "numpy", rng, 8) < 5e-6


class Resized(nn.Cell):
    """Maps of sizes that are no multiples of one another, by each way of making them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Dense(24, 5)

    def construct(self, x):
        x = self.conv(x)
        ways = (
            ops.interpolate(x, size=(7, 12), mode="nearest"),
            ops.interpolate(x, size=(7, 12), mode="bilinear", align_corners=False),
            ops.interpolate(x, size=(7, 12), mode="bilinear", align_corners=True),
        )
        return self.fc(ops.cat([ops.relu(way - 0.1).mean((2, 3)) for way in ways], 1))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_maps_are_made_of_other_sizes(backend, rng):
    cell = randomized(Resized())
    net = zoo.adopt(cell, example=(2, 3, 17, 17))
    kinds = [node.op for node in net.graph.nodes if isinstance(node.op, operators.Upsample)]
    assert [(op.mode, op.align_corners) for op in kinds] == [
        ("nearest", False), ("bilinear", False), ("bilinear", True),
    ]  # fmt: skip
    assert agreement(cell, net, backend, rng, 17) < 5e-6


class Plain(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, has_bias=True)
        self.bn = nn.BatchNorm2d(3)

    def construct(self, x):
        return ops.relu(self.bn(self.conv(x)))


class Inlined(Plain):
    @ms.lazy_inline  # compiled once, and called
    def __init__(self):
        super().__init__()


def write_calls(path):
    """Write a file whose graph calls another; in this process MindSpore then runs nothing more."""
    cell = randomized(nn.SequentialCell(Inlined(), Inlined()).set_train(False))
    x = Tensor(np.zeros((2, 3, 8, 8), np.float32))
    ms.export(cell, x, file_name=path, file_format="MINDIR")


@pytest.mark.exhaustive
def test_graphs_of_a_file_are_read_where_they_are_called(tmp_path, rng):
    path = tmp_path / "net.mindir"
    code = f"import test_adopt_mindspore as t; t.write_calls({str(path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    net = zoo.adopt(path, example=x)
    assert [node.name for node in net.graph.nodes] == [
        f"{i}.{name}" for i in range(2) for name in ("conv", "bn", "relu")
    ]
    (found,) = backends.load("numpy").predict(zoo.create(net, backend="numpy"), x)
    plain = randomized(nn.SequentialCell(Plain(), Plain()).set_train(False))
    np.testing.assert_allclose(found, plain(Tensor(x)).asnumpy(), atol=1e-5)


def canonical(op, graph, name):
    """Return an operator without where it starts from, a shuffle as the order that it makes."""
    if isinstance(op, operators.ChannelShuffle):
        return op.indices(graph.shapes()[name][1])
    start = {f: 1.0 for f in ("initial_weight", "initial_scale") if hasattr(op, f)}
    if hasattr(op, "momentum"):  # MindSpore has one minus it
        start["momentum"] = round(op.momentum, 9)
    return dataclasses.replace(op, **start)


@pytest.mark.sweep(quick=["resnet9"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_our_own_networks_come_back_as_equal_graphs(name):
    spec = small(name)
    cell = zoo.create(spec, backend="mindspore")
    net = zoo.adopt(cell, example=(2, 3, spec.image_size, spec.image_size))
    graph = spec.graph
    called = {"input": "input"}
    # Values that the network holds read nothing: their names tell them apart.
    left = {
        (canonical(node.op, graph, node.name), node.inputs or node.name): node
        for node in graph.nodes
    }
    assert len(net.graph.nodes) == len(left)
    for node in net.graph.nodes:
        inputs = tuple(called[name] for name in node.inputs)
        ours = left.pop((canonical(node.op, net.graph, node.name), inputs or node.name))
        called[node.name] = ours.name
        assert not node.op.parameters() or node.name == ours.name
    held = zoo.get_weights(cell)
    assert all(np.array_equal(net[key], array) for key, array in held.items())


class Shift(nn.Cell):
    def construct(self, x, shift):
        return x + shift


class Shifted(nn.Cell):
    def __init__(self):
        super().__init__()
        self.shift = Parameter(Tensor(np.arange(3, dtype=np.float32).reshape(3, 1, 1)), "shift")
        self.add = Shift()

    def construct(self, x):
        return self.add(x, self.shift).mean((2, 3))


def test_cells_may_be_called_with_arrays(rng):
    cell = Shifted()
    net = zoo.adopt(cell, example=(2, 3, 8, 8))
    assert [node.name for node in net.graph.nodes] == ["shift", "add", "mean", "flatten"]
    assert agreement(cell, net, "numpy", rng, 8) < 5e-6


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name",
    [
        "densenet121", "ghostnet_050", "googlenet", "mobilenet_v1_025",
        "mobilenet_v2_035_128", "mobilenet_v3_small_100", "mobilevit_xx_small", "poolformer_s12",
        "resnet18", "shufflenet_v1_g3_05", "shufflenet_v2_x0_5", "squeezenet1_0",
    ],
)  # fmt: skip
def test_mindcvs_networks(name, rng):
    import mindcv

    cell = randomized(mindcv.create_model(name, num_classes=10))
    if name == "mobilenet_v2_035_128":
        # With statistics of nothing that it sees, nearly all that it hands on is 0 or 6, and any
        # float32 is 1e-4 off float64; with its own, each of the two is 3e-6 off.
        for _ in range(40):
            cell.set_train(True)(Tensor(rng.standard_normal((8, 3, 64, 64)).astype(np.float32)))
    net = zoo.adopt(cell, example=(2, 3, 64, 64))
    deep = len(net.graph.parameters) > 450  # of more than 150 layers
    limit = 1e-5 if deep or name == "mobilenet_v2_035_128" else 5e-6
    assert agreement(cell, net, "torch", rng, 64) < limit


# ── The proof with the original at the table ─────────────────────────────────────────────────────


def test_the_original_is_judged_at_every_level(net):
    report = zoo.parity(net, backends=["original", "torch"], level="training")
    assert not report.failures
    levels = {f.level for f in report.findings if f.backend == "original"}
    assert levels == {"structure", "forward", "batch_statistics", "gradients", "training"}
    (seen,) = (
        f for f in report.findings
        if (f.backend, f.level, f.measure) == ("original", "forward", "every node")
    )  # fmt: skip
    assert {"stem.0", "body.1.act_1", "body.0.excite.up", "pool", "fc"} <= set(seen.errors)


class Other(Theirs):
    def construct(self, x):
        x = self.stem(x)
        for unit in self.body:
            x = unit(x)
        first, second = ops.chunk(self.tail(x), 2, 1)
        x = ops.cat((self.max(first), self.average(second)), 1)
        x = ops.cat((ops.flatten(self.pool(1.001 * x)), self.means(x)), 1)
        return self.fc(self.drop(x))


class DetachedGate(Excite):
    def construct(self, x):
        y = self.up(ops.silu(self.down(x.mean((2, 3), keep_dims=True))))
        return ops.stop_gradient(ops.sigmoid(y)) * x


def other_forward(theirs):
    theirs.__class__ = Other


def other_gradient(theirs):
    theirs.body[1].excite.__class__ = DetachedGate


def other_momentum(theirs):
    theirs.body[0].bn.bn_train = ops.BatchNorm(is_training=True, epsilon=1e-3, momentum=0.1)


@pytest.mark.sweep(quick=["other_forward*"])
@pytest.mark.parametrize(
    ("change", "level", "name"),
    [
        (other_forward, "forward", "pool"),
        (other_momentum, "batch_statistics", "body.0.bn.running_mean"),
        (other_gradient, "gradients", "body.1.excite.up.bias"),
    ],
)
def test_an_original_that_computes_something_else_is_named(change, level, name):
    cell = randomized(Theirs())
    net = zoo.adopt(cell, example=(2, 3, SIZE, SIZE))
    change(cell)
    report = zoo.parity(net, backends=["original"], level=level)
    first = report.failures[0]
    assert (first.level, first.diverges_at) == (level, name)


# ── What cannot be adopted ───────────────────────────────────────────────────────────────────────


class Choosing(nn.Cell):
    def construct(self, x):
        if x.mean((1, 2, 3))[0] > 0:
            return ops.relu(x)
        return x


class Pair(nn.Cell):
    def construct(self, x, y):
        return x + y


class Nested(nn.Cell):
    def construct(self, x):
        return x, (ops.relu(x), x)


class Shared(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def construct(self, x):
        return self.conv(self.conv(x))


class Scaled(nn.Cell):
    def __init__(self):
        super().__init__()
        self.scale = Parameter(Tensor(np.ones((3, 1, 1), np.float32)), name="scale")
        self.odd = Error()

    def construct(self, x):
        return ops.digamma(self.odd(x)) * self.scale


class Half(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1).to_float(ms.float16)
        self.conv.weight.set_dtype(ms.float16)

    def construct(self, x):
        return self.conv(x)


class BatchAlways(nn.Cell):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(3, use_batch_statistics=True)

    def construct(self, x):
        return self.bn(x)


REFUSED = {
    "control flow": (Choosing, r"its control flow depends on the data \(Switch\)"),
    "several inputs": (Pair, r"Pair: mindspore\.export cannot take it: "),
    "nested outputs": (Nested, "it returns a tuple in a tuple: it must return a tensor"),
    "shared weights": (Shared, r"conv\.weight: is shared by conv and conv2d"),
    "float16": (Half, r"conv\.weight: dtype \(=Float16\) must be Float32"),
    "statistics of the batch": (BatchAlways, r"bn: use_batch_statistics \(=True\) must be None"),
    "what is unknown, all of it": (
        Scaled,
        r"(?s)odd: Lgamma is no operator.*itself: Digamma is no",
    ),
}


@pytest.mark.sweep(quick=["control flow", "what is unknown*"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_operator_is_is_told(name):
    make, message = REFUSED[name]
    with pytest.raises(zoo.AdoptionError, match=message):
        zoo.adopt(make(), example=(2, 3, 8, 8))


# ── Files that are damaged ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(i, marks=pytest.mark.exhaustive) for i in range(1, 9))]
)
def test_a_damaged_file_is_read_or_refused(seed, file, tmp_path):
    rng, whole = np.random.default_rng(seed), file.read_bytes()
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        if rng.random() < 0.2:
            del data[int(rng.integers(len(data))) :]
        for at in rng.integers(len(data), size=int(rng.integers(1, 4))) if data else ():
            data[at] = rng.choice([0, 1, 127, 128, 255, data[at] ^ 1 << int(rng.integers(8))])
        (tmp_path / "net.mindir").write_bytes(data)
        try:
            zoo.adopt(tmp_path / "net.mindir", example=(2, 3, SIZE, SIZE))
            outcomes.add("read")
        except zoo.ZooError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_what_is_no_file_of_a_network_is_told(file, tmp_path):
    with pytest.raises(zoo.AdoptionError, match=r"none\.mindir: cannot be read: No such file"):
        zoo.adopt(tmp_path / "none.mindir")
    with pytest.raises(zoo.InputError, match=r"must be that of the file's input, \(2, 3, 32, 32\)"):
        zoo.adopt(file, example=(2, 3, 16, 16))
    with pytest.raises(zoo.SpecError, match="only of a network that zoo\\.adopt made of a"):
        zoo.parity(zoo.adopt(file, example=(2, 3, SIZE, SIZE)), backends=["original"])
