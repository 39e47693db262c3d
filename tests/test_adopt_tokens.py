"""Networks of tokens, adopted: what they compute, and what their views become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import backends
import weights
import zoo
from backends.torch.adopt_call import UnknownError
from zoo.adoption.einsum import steps
from zoo.arch import Graph, Node
from zoo.arch.operators import (
    Expand,
    Linear,
    Narrow,
    Permute,
    Reshape,
    ScaledDotProductAttention,
    Weight,
)
from zoo.errors import AdoptionError, GraphError, InputError
from zoo.passes.constant import packed
from zoo.proof.measure import relative_maximum

WIDTH, HEADS = 16, 2


class Block(nn.Module):
    """A block of ConvNeXt (arXiv:2201.03545), with its layer scale."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.up, self.act, self.down = nn.Linear(WIDTH, 32), nn.SiLU(), nn.Linear(32, WIDTH)
        self.gamma = nn.Parameter(torch.ones(WIDTH, 1, 1))

    def forward(self, x):
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + self.gamma * self.down(self.act(self.up(y))).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 4, 4)
        self.blocks = nn.Sequential(Block(), Block())
        self.pool, self.norm = nn.AdaptiveAvgPool2d(1), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        return self.head(self.norm(self.pool(self.blocks(self.stem(x))).flatten(1)))


class Layer(nn.Module):
    """A layer of ViT (arXiv:2010.11929), its q, k and v taken apart as timm does."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 32), nn.SiLU(), nn.Linear(32, WIDTH))

    def forward(self, x):
        n, length, width = x.shape
        y = self.qkv(self.norm1(x)).reshape(n, length, 3, HEADS, width // HEADS)
        q, k, v = y.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(y.transpose(1, 2).reshape(n, length, width))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, layer=Layer, size=16):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position = nn.Parameter(torch.zeros(1, (size // 4) ** 2 + 1, WIDTH))
        self.layers = nn.Sequential(layer(), layer())
        self.norm, self.head = nn.LayerNorm(WIDTH, eps=1e-6), nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.layers(x))[:, 0])


class Sequences(nn.Module):
    """The same of `nn.MultiheadAttention`, which puts the images on axis 1 meanwhile."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x):
        y = self.norm(x)
        return x + self.attention(y, y, y, need_weights=False)[0]


class ByHand(nn.Module):
    """Attention of products and a softmax, heads by chunks of a permuted value."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.bias = nn.Parameter(torch.zeros(HEADS, 9))
        index = torch.arange(17 * 17).reshape(17, 17) % 9
        self.register_buffer("index", index)

    def forward(self, x):
        y = self.qkv(x).view(x.shape[0], -1, HEADS, 3 * WIDTH // HEADS).transpose(1, 2)
        q, k, v = y.chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) + self.bias[:, self.index.view(-1)].view(HEADS, 17, 17)
        y = scores.softmax(-1) @ v
        return x + y.transpose(1, 2).flatten(2)


class Shifted(nn.Module):
    """Windows that are rolled and masked, as Swin's are (arXiv:2103.14030)."""

    def forward(self, x):
        token, x = x[:, :1], torch.roll(x[:, 1:].unflatten(1, (4, 4)), (-1, -1), (1, 2))
        x = x.view(x.shape[0], 2, 2, 2, 2, WIDTH).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, WIDTH)
        mask = x.new_zeros(4, 4)
        for i, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, 4))):
            mask[rows, :2] = i
        mask = mask.unsqueeze(1) - mask.unsqueeze(2)
        mask = mask.masked_fill(mask != 0, -2.0)
        scores = (x @ x.transpose(1, 2)).view(-1, 4, 4, 4) + mask.unsqueeze(0).mean(1, True)
        x = scores.view(-1, 4, 4).softmax(-1) @ x
        x = x.view(-1, 2, 2, 2, 2, WIDTH).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, WIDTH)
        return torch.cat([token, x], 1)


class Einsums(nn.Module):
    """Attention of einsums, as MaxViT's is (arXiv:2204.01697)."""

    def __init__(self, equation="B H I D, B H J D -> B H I J"):
        super().__init__()
        self.qkv, self.equation = nn.Linear(WIDTH, 3 * WIDTH), equation

    def forward(self, x):
        y = self.qkv(x).view(x.shape[0], -1, 3, HEADS, WIDTH // HEADS)
        q, k, v = (part.transpose(1, 2) for part in y.unbind(2))
        scores = torch.einsum(self.equation, q, k).softmax(-1)
        return x + torch.einsum("bhij, bhjd -> bihd", scores, v).flatten(2)


NETWORKS = {
    "einsums": lambda: ViT(Einsums),
    "ConvNeXt": ConvNeXt,
    "ViT": ViT,
    "MultiheadAttention": lambda: ViT(Sequences),
    "by hand": lambda: ViT(ByHand),
    "windows": lambda: ViT(Shifted),
}


def drawn(make):
    torch.manual_seed(0)
    module = make().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.sweep(quick=["*-torch", "*-onnx"])
@pytest.mark.parametrize("backend", ["torch", "numpy", "onnx", "openvino", "mindspore"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_tokens_computes_what_it_did(name, backend, rng):
    module = drawn(NETWORKS[name])
    net = zoo.adopt(module, example=(2, 3, 16, 16))
    x = rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    found = backends.load(backend).predict(zoo.create(net, backend=backend), x)[0]
    assert relative_maximum(found, expected) < 5e-6


def kinds(net):
    return [type(node.op) for node in net.graph.nodes]


def test_q_k_and_v_are_parts_of_the_last_axis():
    graph = zoo.adopt(drawn(ViT), example=(2, 3, 16, 16)).graph
    own = [n for n in graph.nodes if n.name.startswith("layers.0.") and "mlp" not in n.name]
    moves = [n.op for n in own if isinstance(n.op, Narrow | Reshape | Permute)]
    heads = [Reshape(shape=(17, 2, 8)), Permute(dims=(0, 2, 1, 3))]
    parts = [Narrow(dim=2, start=s, stop=s + WIDTH, step=1) for s in (0, 16, 32)]
    assert moves[:3] == parts
    assert moves[3:9] == heads * 3
    assert moves[9:] == [Permute(dims=(0, 2, 1, 3)), Reshape(shape=(17, WIDTH))]
    (op,) = {n.op for n in own if isinstance(n.op, ScaledDotProductAttention)}
    assert op.scale == pytest.approx(8**-0.5)


def test_arrays_that_are_values_are_called_like_themselves():
    module = drawn(ViT)
    net = zoo.adopt(module, example=(2, 3, 16, 16))
    assert net.graph.by_name["token"].op == Weight(shape=(1, 1, WIDTH), trainable=True)
    assert net.theirs["position.weight"] == "position"
    np.testing.assert_array_equal(net.weights["position.weight"], module.position.detach())
    assert {Expand, Weight, Linear} < set(kinds(net))
    names = zoo.adopt(drawn(NETWORKS["MultiheadAttention"]), example=(2, 3, 16, 16)).theirs
    assert names["layers.0.attention.in_proj.bias"] == "layers.0.attention.in_proj_bias"


def test_constants_are_computed_and_held():
    net = zoo.adopt(drawn(NETWORKS["windows"]), example=(2, 3, 16, 16))
    held = [n for n in net.graph.nodes if isinstance(n.op, Weight) and not n.op.trainable]
    assert [n.name for n in held] == ["layers.0.constant", "layers.1.constant"]
    assert f"{held[0].name}.weight" not in net.theirs
    assert net.weights[f"{held[0].name}.weight"].min() < 0


class Turned(nn.Module):
    def forward(self, x):
        y = x.transpose(0, 1)
        return F.max_pool2d(y + y.sigmoid(), 2).transpose(0, 1).flatten(1)


def test_what_computes_with_images_that_are_not_in_front_is_refused():
    with pytest.raises(
        AdoptionError, match=r"max_pool2d reads \(3, 1, 16, 16\) with the images on axis 1"
    ):
        zoo.adopt(Turned(), example=(2, 3, 16, 16))


@pytest.mark.parametrize("equation", ["BHID,BHJD->BIJ", "BHID,BHJE->BHIJ", "...ID,...JD->...IJ"])
def test_einsums_that_are_no_product_of_matrices_are_refused(equation):
    with pytest.raises(UnknownError, match=r"einsum: .* must (be a product|name the axes)"):
        steps(equation, ("x", "y"), ((2, 3, 4, 5), (2, 3, 4, 5)))


def test_another_size_that_would_make_several_images_of_one_is_refused():
    model = zoo.create(
        zoo.adopt(drawn(lambda: ViT(Layer)), example=(2, 3, 16, 16)), backend="torch"
    )
    with pytest.raises(InputError, match=r"size 32x32 is not admitted"):
        model(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_files_and_code_of_tokens_come_back(backend, tmp_path, rng):
    net = zoo.adopt(drawn(ViT), example=(2, 3, 16, 16))
    zoo.save(zoo.create(net, backend=backend), tmp_path / "net.safetensors")
    again = zoo.load(tmp_path / "net.safetensors", backend="numpy")
    x = rng.standard_normal((2, 3, 16, 16)).astype(np.float32)
    found = backends.load("numpy").predict(again, x)[0]
    expected = backends.load("numpy").predict(zoo.create(net, backend="numpy"), x)[0]
    np.testing.assert_array_equal(found, expected)


def test_constants_are_part_of_the_network(tmp_path):
    module = drawn(NETWORKS["windows"])
    net = zoo.adopt(module, example=(2, 3, 16, 16))
    first, _ = (name for name, p in net.graph.parameters.items() if p.value)
    spec = zoo.spec_from_json(net.spec.to_json())
    assert (spec, spec.sha256) == (net.spec, net.spec.sha256)
    fresh = zoo.get_weights(zoo.create(spec, backend="numpy", seed=1))
    np.testing.assert_array_equal(fresh[first], net[first])
    assert not np.array_equal(fresh["head.weight"], net["head.weight"])
    torch.save(module.state_dict(), tmp_path / "later.pth")  # which have none of them
    later = zoo.load_weights(tmp_path / "later.pth", model=net)
    assert all(np.array_equal(later[name], net[name]) for name in net)
    assert (
        net.names.write(spec.graph, dict(net.weights)).keys() == net.names.names(spec.graph).keys()
    )


@pytest.mark.parametrize(
    ("shape", "value", "told"),
    [
        ((2, 3), "no", "its value is no packed array"),
        ((1 << 20,) * 3, packed(np.zeros(6)), "its value must be float32 of shape"),
        ((2, 2), packed(np.zeros(1 << 22)), "its value must be float32 of shape"),
    ],
)
def test_constants_that_are_none_are_refused(shape, value, told):
    node = Node("mask", Weight(shape=shape, trainable=False, value=value), ())
    with pytest.raises(GraphError, match=f"mask.weight: {told}"):
        weights.initialize(Graph(3, (8, 8), (node,), ("mask",)))
