"""The NumPy reference, everyone's oracle, against values by hand and by naive loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.numpy.operators import apply
from zoo.arch.operators import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    Add,
    AddScalar,
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    Clamp,
    ConcatAlong,
    Conv2d,
    ConvTranspose2d,
    Exp,
    Expand,
    GroupNorm,
    HardSwish,
    Index,
    LayerNorm,
    LeakyReLU,
    Linear,
    MatMul,
    MaxPool2d,
    Mish,
    MulScalar,
    Narrow,
    Normalize,
    Pad2d,
    Permute,
    Pow,
    PReLU,
    Reduce,
    ReLU6,
    Reshape,
    Roll,
    ScaledDotProductAttention,
    SiLU,
    Softmax,
    Tanh,
    Upsample,
    Weight,
    sides,
)


def run(op, *inputs, training=False, **held):
    return apply(op, [np.asarray(x, np.float64) for x in inputs], held, training)


def naive_conv(x, weight, bias, op):
    """Walk every output pixel, as the definition says."""
    top, left, bottom, right = sides(op.padding, x.shape[2:], op.kernel_size, op.stride)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (kh, kw), (sh, sw) = op.kernel_size, op.stride
    height, width = (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1
    y = np.zeros((len(x), op.out_channels, height, width))
    read, made = op.in_channels // op.groups, op.out_channels // op.groups
    for n, o, i, j in itertools.product(*map(range, y.shape)):
        group = o // made
        window = x[n, group * read : (group + 1) * read, i * sh : i * sh + kh, j * sw : j * sw + kw]
        y[n, o, i, j] = (window * weight[o]).sum() + bias[o]
    return y


@settings(max_examples=60, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 3, 6]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(st.just("SAME_UPPER"), st.tuples(*[st.integers(0, 2)] * 4)),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
)
def test_convolution_is_the_naive_one(groups, kernel, stride, padding, size):
    op = Conv2d(
        in_channels=6, out_channels=6, kernel_size=kernel, stride=stride, padding=padding,
        groups=groups, bias=True,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 6, *size))
    weight, bias = rng.standard_normal((6, 6 // groups, *kernel)), rng.standard_normal(6)
    y = run(op, x, weight=weight, bias=bias)
    assert y.shape == op.output_shape(x.shape)
    np.testing.assert_allclose(y, naive_conv(x, weight, bias, op), atol=1e-12)


def test_same_upper_puts_the_odd_pixel_at_the_bottom_right():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    pool = MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding="SAME_UPPER")
    np.testing.assert_array_equal(run(pool, x)[0, 0], [[10, 11], [14, 15]])
    symmetric = MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    np.testing.assert_array_equal(run(symmetric, x)[0, 0], [[5, 7], [13, 15]])


@pytest.mark.parametrize(
    ("padding", "counted", "corner"),
    [((1, 1, 1, 1), True, (0 + 1 + 4 + 5) / 9), ((1, 1, 1, 1), False, (0 + 1 + 4 + 5) / 4),
     ("SAME_UPPER", False, sum((0, 1, 2, 4, 5, 6, 8, 9, 10)) / 9)],
)  # fmt: skip
def test_average_pool_at_the_corner(padding, counted, corner):
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    op = AvgPool2d(kernel_size=(3, 3), stride=(2, 2), padding=padding, count_include_pad=counted)
    assert run(op, x)[0, 0, 0, 0] == pytest.approx(corner)


@pytest.mark.parametrize("size", [4, 5, 6])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (2, 2, 1), (3, 3, 1), (2, 3, 0)]
)
def test_ceil_mode_is_pytorchs(size, kernel, stride, padding, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((1, 2, size, 7))
    window = {"kernel_size": (kernel,) * 2, "stride": (stride,) * 2, "padding": (padding,) * 4}
    functions = {
        MaxPool2d(**window, ceil_mode=True): torch.nn.MaxPool2d(
            kernel, stride, padding, ceil_mode=True
        )
    }
    for counted in (True, False):
        functions[AvgPool2d(**window, ceil_mode=True, count_include_pad=counted)] = (
            torch.nn.AvgPool2d(kernel, stride, padding, True, counted)
        )
    for op, function in functions.items():
        wanted = function(torch.from_numpy(x)).numpy()
        assert op.output_shape(x.shape) == wanted.shape
        np.testing.assert_allclose(run(op, x), wanted, atol=1e-12)


def test_a_window_with_ceil_mode_hangs_over_by_hand():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    window = {"kernel_size": (3, 3), "stride": (2, 2), "padding": (0,) * 4, "ceil_mode": True}
    assert run(MaxPool2d(**window), x)[0, 0].tolist() == [[10, 11], [14, 15]]
    mean = run(AvgPool2d(**window, count_include_pad=True), x)[0, 0]
    assert mean.tolist() == [[5, 6.5], [11, 12.5]]


@pytest.mark.parametrize(
    ("order", "expected"), [("gn", [0, 3, 1, 4, 2, 5]), ("ng", [0, 2, 4, 1, 3, 5])]
)
def test_shuffle_orders(order, expected):
    op = ChannelShuffle(groups=2, order=order)
    x = np.arange(6.0).reshape(1, 6, 1, 1)
    assert run(op, x).ravel().tolist() == expected
    assert list(op.indices(6)) == expected


def test_batch_norm_by_hand():
    op = BatchNorm2d(num_features=1, eps=0.5, momentum=0.25)
    x = np.array([1.0, 3.0, 5.0, 7.0]).reshape(2, 1, 1, 2)  # mean 4, variance 5, unbiased 20/3
    held = {
        "weight": np.array([2.0]),
        "bias": np.array([1.0]),
        "running_mean": np.array([8.0]),
        "running_var": np.array([3.5]),
    }
    y = run(op, x, **held)
    np.testing.assert_allclose(y.ravel(), (x.ravel() - 8) / 2 * 2 + 1)
    y = run(op, x, training=True, **held)
    np.testing.assert_allclose(y.ravel(), (x.ravel() - 4) / math.sqrt(5.5) * 2 + 1)
    assert held["running_mean"][0] == pytest.approx(0.75 * 8 + 0.25 * 4)
    assert held["running_var"][0] == pytest.approx(0.75 * 3.5 + 0.25 * 20 / 3)


def test_activations_and_linear_by_hand():
    assert run(ReLU6(), [-1.0, 0.0, 2.5, 6.0, 7.0]).tolist() == [0, 0, 2.5, 6, 6]
    np.testing.assert_allclose(
        run(HardSwish(), [-4.0, -1.0, 0.0, 1.0, 4.0]), [0, -1 / 3, 0, 2 / 3, 4]
    )
    np.testing.assert_allclose(
        run(SiLU(), [-1.0, 0.0, 2.0]), [-1 / (1 + math.e), 0, 2 / (1 + math.exp(-2))]
    )
    normal = (1 + math.erf(1 / math.sqrt(2))) / 2
    np.testing.assert_allclose(
        run(GELU(approximate="none"), [-1.0, 0.0, 1.0]), [normal - 1, 0, normal]
    )
    bent = math.tanh(math.sqrt(2 / math.pi) * 1.044715)
    np.testing.assert_allclose(
        run(GELU(approximate="tanh"), [-1.0, 1.0]), [(bent - 1) / 2, (bent + 1) / 2]
    )
    assert run(LeakyReLU(negative_slope=0.25), [-2.0, 0.0, 3.0]).tolist() == [-0.5, 0, 3]
    y = run(PReLU(num_parameters=2), [[-2.0, -4.0], [1.0, 3.0]], weight=np.array([0.5, 0.25]))
    assert y.tolist() == [[-1, -1], [1, 3]]
    np.testing.assert_allclose(run(ELU(alpha=0.5), [-1.0, 2.0]), [(1 / math.e - 1) / 2, 2])
    np.testing.assert_allclose(run(Tanh(), [math.log(2)]), [0.6])
    np.testing.assert_allclose(run(Exp(), [0.0, -1.0]), [1, 1 / math.e])
    np.testing.assert_allclose(run(Pow(exponent=-0.5), [0.25, 4.0]), [2, 0.5])
    np.testing.assert_allclose(run(Pow(exponent=-1), [-2.0, 4.0]), [-0.5, 0.25])
    np.testing.assert_allclose(run(Mish(), [0.0, 1.0]), [0, math.tanh(math.log(1 + math.e))])
    assert run(Clamp(min_val=-1, max_val=None), [-3.0, 2.0]).tolist() == [-1, 2]
    assert run(Clamp(min_val=-1, max_val=0.5), [-3.0, 0.0, 2.0]).tolist() == [-1, 0, 0.5]
    assert run(AddScalar(value=-0.5), [2.0]).tolist() == [1.5]
    assert run(MulScalar(value=-0.5), [2.0]).tolist() == [-1]
    op = Linear(in_features=2, out_features=1, bias=True)
    y = run(op, [[1.0, 2.0]], weight=np.array([[3.0, -1.0]]), bias=np.array([0.5]))
    assert y.tolist() == [[1.5]]


def test_maps_by_hand():
    x = np.arange(1.0, 7).reshape(1, 1, 2, 3)
    assert run(Reduce(kind="sum", dim=(2,), keepdim=False), x).tolist() == [[[5, 7, 9]]]
    assert run(Reduce(kind="amax", dim=(2, 3), keepdim=True), x).tolist() == [[[[6]]]]
    pad = Pad2d(sides=(0, 1, 1, -1), mode="constant", value=9)
    assert run(pad, x)[0, 0].tolist() == [[9, 1, 2], [9, 4, 5], [9, 9, 9]]
    assert run(Pad2d(sides=(0, 2, 0, 1), mode="reflect"), x)[0, 0, 0].tolist() == [3, 2, 1, 2, 3, 2]
    edge = Pad2d(sides=(0, 1, 0, 1), mode="replicate")
    assert run(edge, x)[0, 0, 0].tolist() == [1, 1, 2, 3, 3]

    def row(mode, size, align_corners=False):
        op = Upsample(size=(1, size), scale_factor=None, mode=mode, align_corners=align_corners)
        return run(op, [[[[0.0, 4.0]]]]).ravel().tolist()

    assert row("nearest", 4) == [0, 0, 4, 4]
    assert row("bilinear", 4) == [0, 1, 3, 4]
    assert row("bilinear", 5, align_corners=True) == [0, 1, 2, 3, 4]
    op = ConvTranspose2d(
        in_channels=1, out_channels=1, kernel_size=(1, 3), stride=(1, 2), padding=(0, 1),
        output_padding=(0, 1), dilation=(1, 1), groups=1, bias=True,
    )  # fmt: skip
    held = {"weight": np.array([[[[1.0, 10, 100]]]]), "bias": np.array([0.5])}
    # 1·(1, 10, 100) and 2·(1, 10, 100) two places later, but for the first place.
    assert run(op, [[[[1.0, 2.0]]]], **held).ravel().tolist() == [10.5, 102.5, 20.5, 200.5]


def test_cells_of_an_adaptive_pool_overlap_where_they_do_not_divide():
    op = AdaptiveAvgPool2d(output_size=(2, 3))
    x = np.arange(1.0, 13).reshape(1, 1, 3, 4)
    # Rows 0-1 and 1-2; columns 0-1, 1-2 and 2-3.
    assert run(op, x).tolist() == [[[[3.5, 4.5, 5.5], [7.5, 8.5, 9.5]]]]


def test_normalizations_by_hand():
    x = [[1.0, 3.0, 5.0, 7.0]]  # mean 4, variance 5
    norm = LayerNorm(normalized_shape=(4,), eps=4.0, affine=False)
    np.testing.assert_allclose(run(norm, x), [[-1, -1 / 3, 1 / 3, 1]])
    held = {"weight": np.array([2.0, 1, 1, 1]), "bias": np.array([0.0, 0, 0, 5])}
    y = run(LayerNorm(normalized_shape=(4,), eps=4.0, affine=True), x, **held)
    np.testing.assert_allclose(y, [[-2, -1 / 3, 1 / 3, 6]])
    groups = GroupNorm(num_groups=2, num_channels=4, eps=3.0)  # variances 1: each over 2
    np.testing.assert_allclose(run(groups, x, **held), [[-1, 0.5, -0.5, 5.5]])
    both = [[[3.0, 0.1], [4.0, 0.0]]]
    np.testing.assert_allclose(run(Normalize(dim=1, eps=0.5), both), [[[0.6, 0.2], [0.8, 0.0]]])


def test_attention_by_hand():
    np.testing.assert_allclose(run(Softmax(dim=1), [[0.0, np.log(3)]]), [[0.25, 0.75]])
    q, k, v = [[[1.0, 0.0]]], [[[0.0, 9.0], [np.log(3), 9.0]]], [[[4.0], [8.0]]]
    op = ScaledDotProductAttention(scale=1.0)
    assert run(op, q, k, v).tolist() == [[[pytest.approx(0.25 * 4 + 0.75 * 8)]]]
    mask = [[[np.log(3), 0.0]]]
    assert run(op, q, k, v, mask).tolist() == [[[pytest.approx(6)]]]
    halved = ScaledDotProductAttention(scale=0.5)
    share = np.sqrt(3) / (1 + np.sqrt(3))
    assert run(halved, q, k, v).item() == pytest.approx(4 * (1 - share) + 8 * share)
    assert run(MatMul(), [[[1.0, 2.0]]], [[3.0], [4.0]]).tolist() == [[[11.0]]]


def test_moves_of_axes_by_hand():
    x = np.arange(6.0).reshape(1, 2, 3)
    assert run(Permute(dims=(0, 2, 1)), x).tolist() == [[[0, 3], [1, 4], [2, 5]]]
    assert run(Reshape(shape=(3,)), x).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert run(Roll(shifts=(1,), dims=(2,)), x).tolist() == [[[2, 0, 1], [5, 3, 4]]]
    assert run(Index(dim=2, indices=(2, 0, 2)), x).tolist() == [[[2, 0, 2], [5, 3, 5]]]
    assert run(Narrow(dim=2, start=0, stop=3, step=2), x).tolist() == [[[0, 2], [3, 5]]]
    assert run(ConcatAlong(dim=2), x, x[:, :, :1]).tolist() == [[[0, 1, 2, 0], [3, 4, 5, 3]]]
    assert run(Expand(), [[7.0]], np.zeros((3, 9))).tolist() == [[7], [7], [7]]
    held = {"weight": np.array([[1.0, 2.0]])}
    assert run(Weight(shape=(1, 2), trainable=True), **held).tolist() == [[1, 2]]
    assert run(Add(), x, held["weight"].T).tolist() == [[[1, 2, 3], [5, 6, 7]]]
    op = Linear(in_features=3, out_features=1, bias=False)
    assert run(op, x, weight=np.array([[1.0, 10.0, 100.0]])).tolist() == [[[210], [543]]]
