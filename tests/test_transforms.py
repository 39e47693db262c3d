"""The input pipeline: three realizations of the transforms, what is drawn, batches and targets."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pictures
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Broken, Pictures, Same, noise, threads_of_batches
from PIL import Image
from torchvision.transforms.v2 import functional as F

import backends
from zoo.data import transforms as reference
from zoo.data.arrays import ArrayImages
from zoo.data.batches import batches, epoch_order, mix_batch, targets_of
from zoo.data.draws import Stream, generator_of, uniforms
from zoo.errors import InputError, SpecError
from zoo.recipes import RECIPES, Mix, Normalize, Transform
from zoo.recipes.pictures import fixed_size
from zoo.recipes.transforms import (
    CenterCrop,
    ColorJitter,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)

ENGINES = ["numpy", "torch", "mindspore"]
BYTES = Normalize(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Each byte gives another float32: where these are equal, so are the bytes."""
INTERPOLATIONS = ["nearest", "bilinear", "bicubic"]
CIFAR = RECIPES["cifar10"]


def places(side: int) -> Image.Image:
    """Return a picture whose pixels tell where they are: (x, y, 0)."""
    y, x = np.mgrid[:side, :side].astype(np.uint8)
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1))


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    temple, flower = (Image.fromarray(pixels) for pixels in load_sample_images().images)
    return [temple, flower.crop((101, 0, 502, 427))]  # one lies, one stands


def run(
    engine: str,
    images: Pictures | ArrayImages,
    transforms: Sequence[Transform],
    *,
    order: Sequence[int] | None = None,
    batch_size: int = 64,
    seed: int = 0,
    epoch: int = 0,
    workers: int = 0,
) -> list[np.ndarray]:
    """Return the transformed images, one by one."""
    made = loop(engine, images, transforms, order, batch_size, seed, epoch, workers)
    return list(itertools.chain.from_iterable(made))


def loop(engine, images, transforms, order=None, batch_size=64, seed=0, epoch=0, workers=0):
    numbers = np.array(range(len(images)) if order is None else order, np.int64)
    source = images if engine == "numpy" else images.picture
    make: Callable = batches if engine == "numpy" else backends.load(engine).batches
    return make(
        source, transforms, numbers,
        batch_size=batch_size, seed=seed, epoch=epoch, workers=workers,
    )  # fmt: skip


def pixels(made: np.ndarray) -> np.ndarray:
    """Return the bytes that `BYTES` made floats of, (H, W, 3)."""
    return np.rint(made * 255).astype(np.uint8).transpose(1, 2, 0)


def torchvision(picture: Image.Image, steps: Sequence[Callable]) -> np.ndarray:
    for step in steps:
        picture = step(picture)
    return np.asarray(picture)


# Evaluation: the same bits everywhere.

SCALED = [
    *((Resize(size=64, interpolation=name),) for name in INTERPOLATIONS),
    *((Resize(size=47, interpolation=name, square=True),) for name in INTERPOLATIONS),
    (Resize(size=256), CenterCrop(size=224)),
    (Resize(size=224),),  # MindSpore's own is a pixel short of 70 × 500
    (Resize(size=65), CenterCrop(size=64)),
    (Resize(size=66), CenterCrop(size=33)),
    (CenterCrop(size=31),),
    (CenterCrop(size=32), Resize(size=70, interpolation="bicubic")),
    (),
]


@pytest.mark.parametrize("engine", ["torch", "mindspore"])
def test_an_evaluation_has_the_same_bits_everywhere(
    engine: str, photographs: list[Image.Image]
) -> None:
    sizes = [(33, 47), (64, 64), (127, 65), (70, 500), (32, 32), (61, 200)]
    images = Pictures([*photographs, *(noise(*size) for size in sizes)])
    for steps in SCALED:
        pipeline = (*steps, CIFAR.evaluate[-1])
        ours = run("numpy", images, pipeline, batch_size=1)
        theirs = run(engine, images, pipeline, batch_size=1)
        for index, (found, expected) in enumerate(zip(theirs, ours, strict=True)):
            np.testing.assert_array_equal(found, expected, err_msg=f"{steps} {index}")
            assert found.dtype == np.float32


@pytest.mark.parametrize("engine", ["torch", "mindspore"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_evaluates_the_same_bits_everywhere(
    name: str, engine: str, photographs: list[Image.Image]
) -> None:
    recipe = RECIPES[name]
    squares = [p.resize((64, 64), Image.Resampling.BOX) for p in photographs]
    images = Pictures([*squares, noise(64, 64)])
    ours = np.stack(run("numpy", images, recipe.evaluate))
    np.testing.assert_array_equal(np.stack(run(engine, images, recipe.evaluate)), ours)
    # The photographs are no noise: other bits would be seen.
    assert np.abs(np.stack(run(engine, images, (*recipe.evaluate[:-1], BYTES))) - ours).max() > 0.1


def test_what_is_avoided_differs(photographs: list[Image.Image]) -> None:
    """Arrays in MindSpore, tensors without antialiasing, and two of MindSpore's transforms."""
    from mindspore.dataset import vision

    picture = photographs[0]
    ours = np.asarray(reference.resize(picture, Resize(size=64, square=True))).astype(int)
    array = vision.Resize((64, 64), vision.Inter.LINEAR)(np.asarray(picture))
    tensor = F.resize(F.pil_to_tensor(picture), [64, 64], antialias=False)
    assert np.abs(array.astype(int) - ours).max() > 20
    assert np.abs(tensor.permute(1, 2, 0).numpy().astype(int) - ours).max() > 20
    assert vision.Resize(224)(noise(70, 500)).size == (224, 1599)
    assert reference.resize(noise(70, 500), Resize(size=224)).size == (224, 1600)
    still = vision.RandomColorAdjust((1, 1), (1, 1), (1, 1), (0, 0))(picture)
    assert (np.asarray(still) != np.asarray(picture)).any()


@pytest.mark.parametrize("name", RECIPES)
def test_normalize_rounds_as_torchvision_does(name: str) -> None:
    last = RECIPES[name].evaluate[-1]
    image = np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), (1, 1, 3))
    found = reference.normalize(image, last)
    scaled = F.to_dtype(torch.from_numpy(image).permute(2, 0, 1), torch.float32, scale=True)
    np.testing.assert_array_equal(found, F.normalize(scaled, last.mean, last.std).numpy())
    exact = (image / 255 - last.mean) / last.std
    assert np.abs(found.transpose(1, 2, 0) - exact).max() < 1e-6
    # Dividing by 255 is what other libraries do: close, and not the same.
    divided = (image / np.float32(255) - np.float32(last.mean)) / np.float32(last.std)
    assert (divided.transpose(2, 0, 1) != found).any()
    batch = reference.normalize(np.stack([image, image[::-1]]), last)
    np.testing.assert_array_equal(batch[0], found)
    np.testing.assert_array_equal(batch[1], found[:, ::-1])
    assert batch.flags.c_contiguous


# Random transforms: what is certain, and what was drawn applied by torchvision.

CERTAIN = {
    "flip never": (RandomHorizontalFlip(p=0), RandomVerticalFlip(p=0)),
    "flip always": (RandomHorizontalFlip(p=1),),
    "flip upside down always": (RandomVerticalFlip(p=1),),
    "no jitter": (ColorJitter(),),
    "crop of all": (RandomCrop(size=40),),
    "resized crop of all": (RandomResizedCrop(size=23, scale=(1, 1), ratio=(1, 1)),),
    "all of these": (
        ColorJitter(),
        RandomHorizontalFlip(p=1),
        RandomResizedCrop(size=50, scale=(1, 1), ratio=(1, 1), interpolation="bicubic"),
        RandomCrop(size=50),
        RandomVerticalFlip(p=1),
    ),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_what_is_certain_has_the_same_bits_everywhere(name: str) -> None:
    images = Pictures([noise(40, 40, seed=i) for i in range(4)])
    made = {e: np.stack(run(e, images, (*CERTAIN[name], BYTES))) for e in ENGINES}
    np.testing.assert_array_equal(made["torch"], made["numpy"])
    np.testing.assert_array_equal(made["mindspore"], made["numpy"])
    plain = np.stack(run("numpy", images, (BYTES,)))
    same = made["numpy"].shape == plain.shape and (made["numpy"] == plain).all()
    assert same == (name in {"flip never", "no jitter", "crop of all"})


SIDES = st.integers(20, 60)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    width=SIDES,
    height=SIDES,
    mode=st.sampled_from(["constant", "reflect"]),
)
def test_crops_of_our_draws_are_torchvisions(seed: int, width: int, height: int, mode) -> None:
    picture, generator = noise(width, height), generator_of(seed, 0)
    step = RandomCrop(size=20, padding=seed % 7, mode=mode)
    left, top = reference.draw_crop(step, picture.size, generator)
    expected = torchvision(picture, [
        lambda p: F.pad(p, [step.padding] * 4, padding_mode=mode),
        lambda p: F.crop(p, top, left, 20, 20),
    ])  # fmt: skip
    np.testing.assert_array_equal(reference.crop(picture, step, (left, top)), expected)

    for flip, theirs in (
        (RandomHorizontalFlip(), F.horizontal_flip), (RandomVerticalFlip(), F.vertical_flip),
    ):  # fmt: skip
        np.testing.assert_array_equal(reference.flip(picture, flip), theirs(picture))

    whole = RandomResizedCrop(size=17, interpolation=INTERPOLATIONS[seed % 3])
    box = reference.draw_resized_crop(whole, picture.size, generator)
    left, top, w, h = box
    assert 0 <= left <= width - w
    assert 0 <= top <= height - h
    method = reference._FILTERS[whole.interpolation]
    expected = np.asarray(F.resized_crop(picture, top, left, h, w, [17, 17], method))
    np.testing.assert_array_equal(reference.resized_crop(picture, whole, box), expected)


COLORS = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


@pytest.mark.parametrize("name", COLORS)
def test_changes_of_color_are_torchvisions(name: str, photographs: list[Image.Image]) -> None:
    step = ColorJitter(**{name: 0.5})
    picture = photographs[1].resize((101, 67))
    changed = 0
    for number in range(20):
        ((drawn, factor),) = reference.draw_jitter(step, generator_of(0, 0, number))
        assert drawn == name
        expected = np.asarray(COLORS[name](picture, factor))
        np.testing.assert_array_equal(reference.jitter(picture, [(name, factor)]), expected)
        changed += (expected != np.asarray(picture)).any()
    assert changed > 15


def test_the_order_of_changes_of_color_matters_and_is_torchvisions() -> None:
    step = ColorJitter(brightness=0.9, contrast=0.9, saturation=0.9, hue=0.5)
    picture = noise(31, 17)
    orders = set()
    for number in range(300):
        drawn = reference.draw_jitter(step, generator_of(1, 0, number))
        orders.add(tuple(name for name, _ in drawn))
        if number < 30:
            changes = [lambda p, n=n, f=f: COLORS[n](p, f) for n, f in drawn]
            expected = torchvision(picture, changes)
            np.testing.assert_array_equal(reference.jitter(picture, drawn), expected)
            backwards = np.asarray(reference.jitter(picture, drawn[::-1]))
            assert (backwards != expected).any()
    assert len(orders) == 24


def test_a_rectangle_that_fits_in_no_try_is_taken_from_the_middle() -> None:
    step = RandomResizedCrop(size=8, scale=(1, 1), ratio=(1, 1.5))
    generator = generator_of(0, 0)
    assert reference.draw_resized_crop(step, (10, 41), generator) == (0, 15, 10, 10)
    assert reference.draw_resized_crop(step, (41, 10), generator) == (13, 0, 15, 10)
    whole = RandomResizedCrop(size=8, scale=(1, 1), ratio=(1.3, 1.5))
    assert reference.draw_resized_crop(whole, (14, 10), generator) in {(0, 0, 14, 10)}


# Random transforms: what is drawn.


def chi_square(counts: np.ndarray) -> float:
    """Return how far counts are from being equal, in standard deviations of what chance does."""
    mean = counts.mean()
    degrees = counts.size - 1
    return float((((counts - mean) ** 2 / mean).sum() - degrees) / np.sqrt(2 * degrees))


@pytest.mark.parametrize("engine", ENGINES)
def test_crops_and_flips_are_drawn_evenly(engine: str) -> None:
    """Of pictures that tell where each pixel was; a crop that never reaches an edge would fail."""
    count, flips = 1500, {"p": 0.3}
    steps = (RandomCrop(size=5), RandomHorizontalFlip(**flips), RandomVerticalFlip(p=0.6), BYTES)
    images = Same(places(9), count)
    made = np.stack([pixels(one) for one in run(engine, images, steps)]).astype(int)
    offsets = made[..., :2].min(axis=(1, 2))
    counts = np.zeros((5, 5))
    np.add.at(counts, (offsets[:, 0], offsets[:, 1]), 1)
    assert chi_square(counts) < 5
    mirrored = made[:, 0, 0, 0] > made[:, 0, -1, 0]
    upside_down = made[:, 0, 0, 1] > made[:, -1, 0, 1]
    for share, p in ((mirrored.mean(), 0.3), (upside_down.mean(), 0.6)):
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / count)
    both = (mirrored & upside_down).mean()
    assert abs(both - mirrored.mean() * upside_down.mean()) < 4 * 0.5 / np.sqrt(count)
    # The control: without its last row the same counts are far from even.
    counts[:, 3] += counts[:, 4]
    counts[:, 4] = 0
    assert chi_square(counts) > 20


@pytest.mark.parametrize("engine", ENGINES)
def test_a_margin_is_added_before_the_crop(engine: str) -> None:
    images = Same(noise(4, 4), 600)
    sizes = set()
    for mode in ("constant", "reflect"):
        made = run(engine, images, (RandomCrop(size=4, padding=3, mode=mode), BYTES))
        black = [(one.sum(axis=0) == 0) for one in made]
        # Rows and columns of the margin, as many on the top and on the left.
        sizes |= {(mode, int(b[0].all()), int(b[:, 0].all())) for b in black}
        kept = {int((~b).sum()) for b in black}
        expected = {a * b for a in range(1, 5) for b in range(1, 5)} if mode == "constant" else {16}
        assert kept == expected
    assert sizes == {*itertools.product(["constant"], [0, 1], [0, 1]), ("reflect", 0, 0)}


@pytest.mark.parametrize("engine", ENGINES)
def test_areas_and_shapes_are_drawn_as_asked(engine: str) -> None:
    step = RandomResizedCrop(size=16, scale=(0.25, 0.75), ratio=(0.5, 2), interpolation="nearest")
    count, side = 500, 128
    made = np.stack([pixels(o) for o in run(engine, Same(places(side), count), (step, BYTES))])
    first, last = (made[:, i, i, :2].astype(float) for i in (0, -1))
    width, height = ((last - first) * 16 / 15).T  # from the middle of a cell to that of another
    area, ratio = width * height / side**2, np.log(width / height)
    assert (area.min(), area.max()) == pytest.approx((0.25, 0.75), abs=0.02)
    assert abs(area.mean() - 0.467) < 0.03  # large ones fit less often
    assert abs(ratio.mean()) < 4 * 0.4 / np.sqrt(count)
    assert np.abs(ratio).max() == pytest.approx(np.log(2), abs=0.03)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_of_color_are_drawn_as_asked(engine: str, name: str) -> None:
    """Of two colors whose distance a factor stretches."""
    count, width = 400, 0.4
    pair = {"brightness": (0, 100), "contrast": (60, 160), "saturation": (60, 160)}[name]
    picture = np.full((2, 2, 3), pair[0], np.uint8)
    picture[:, 1] = pair[1]
    if name == "saturation":
        picture = np.broadcast_to(np.array([*pair, pair[0]], np.uint8), (2, 2, 3))
    images = Same(Image.fromarray(np.ascontiguousarray(picture)), count)
    made = [
        pixels(o).astype(int) for o in run(engine, images, (ColorJitter(**{name: width}), BYTES))
    ]
    spread = np.array([one.max() - one.min() for one in made]) / (pair[1] - pair[0])
    assert spread.min() == pytest.approx(1 - width, abs=0.02)
    assert spread.max() == pytest.approx(1 + width, abs=0.02)
    assert abs(spread.mean() - 1) < 4 * width / np.sqrt(3 * count)
    assert len(np.unique(spread)) > 30


RANDOM_STEPS = (
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2),
    RandomResizedCrop(size=24),
    RandomCrop(size=24, padding=3, mode="reflect"),
    BYTES,
)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_draw_depends_on_seed_epoch_and_number_alone(engine: str) -> None:
    images = Pictures([noise(30, 34, seed=i) for i in range(10)])
    made = np.stack(run(engine, images, RANDOM_STEPS, seed=3, epoch=1))
    turned = np.array([7, 0, 9, 1, 2, 8, 3, 6, 5, 4])
    again = run(
        engine, images, RANDOM_STEPS, seed=3, epoch=1, order=turned, workers=2, batch_size=3
    )
    np.testing.assert_array_equal(np.stack(again), made[turned])
    for other in ({"seed": 4, "epoch": 1}, {"seed": 3, "epoch": 2}, {"seed": 1, "epoch": 3}):
        changed = np.stack(run(engine, images, RANDOM_STEPS, **other))
        assert (changed != made).any(axis=(1, 2, 3)).all()
    same = np.stack(run(engine, Same(noise(30, 34), 10), RANDOM_STEPS, seed=3, epoch=1))
    assert len({one.tobytes() for one in same}) == 10


@pytest.mark.parametrize("engine", ["numpy", "mindspore"])
def test_threads_do_not_draw_from_each_others_numbers(engine: str) -> None:
    images = Pictures([noise(30, 34, seed=i) for i in range(64)])
    alone = run(engine, images, RANDOM_STEPS, batch_size=4)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns after every few instructions
    try:
        together = run(engine, images, RANDOM_STEPS, batch_size=4, workers=2)
    finally:
        sys.setswitchinterval(before)
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))


def states() -> tuple:
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), kind, keys.tobytes(), rest, torch.get_rng_state().numpy().tobytes()


@pytest.mark.sweep(quick=["*-0"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_drawn_from_what_others_draw_from(engine: str, workers: int) -> None:
    images = Broken([noise(30, 34, seed=i) for i in range(6)])
    before = states()
    run(engine, images, RANDOM_STEPS, order=[0, 1, 3, 4, 5], workers=workers, batch_size=2)
    with pytest.raises(InputError):
        run(engine, images, RANDOM_STEPS, workers=workers, batch_size=2)
    stopped = loop(engine, images, RANDOM_STEPS, [0, 1, 3, 4, 5] * 9, 2, workers=workers)
    next(stopped)
    stopped.close()
    assert not multiprocessing.active_children()
    assert states() == before
    random.random()
    assert states() != before


# Whole batches at once.

PICKING = st.lists(
    st.one_of(
        st.builds(
            RandomCrop,
            size=st.integers(1, 9),
            padding=st.integers(0, 5),
            mode=st.sampled_from(["constant", "reflect"]),
        ),
        st.builds(RandomHorizontalFlip, p=st.floats(0, 1)),
        st.builds(RandomVerticalFlip, p=st.floats(0, 1)),
        st.builds(CenterCrop, size=st.integers(1, 9)),
    ),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(steps=PICKING, seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 2**33))
def test_a_batch_at_once_has_the_bits_of_one_by_one(
    steps: list[Transform], seed: int, epoch: int
) -> None:
    array = np.random.default_rng(0).integers(0, 256, (12, 9, 11, 3), np.uint8)
    order = [3, 11, 0, 3, 7]
    made = []
    for images in (ArrayImages(array), Pictures([Image.fromarray(one) for one in array])):
        try:
            made.append(
                run("numpy", images, (*steps, CIFAR.train[-1]), order=order, seed=seed, epoch=epoch)
            )
        except InputError as error:
            made.append(str(error))
    assert type(made[0]) is type(made[1])
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize("name", ["cifar10", "cifar100_coarse"])
def test_cifars_pipelines_are_done_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    plain = Pictures([Image.fromarray(one) for one in array])
    expected = np.stack(run("numpy", plain, RECIPES[name].train, seed=5, batch_size=128))
    monkeypatch.delattr(ArrayImages, "picture")  # nobody asks for one
    found = run("numpy", ArrayImages(array), RECIPES[name].train, seed=5, batch_size=128)
    np.testing.assert_array_equal(np.stack(found), expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(-(2**65), 2**65),
    epoch=st.integers(0, 2**64),
    numbers=st.lists(st.integers(0, 2**62), min_size=1, max_size=5),
    count=st.integers(0, 13),
)
def test_many_draws_are_those_of_numpys_philox(
    seed: int, epoch: int, numbers: list[int], count: int
) -> None:
    found = uniforms(seed, epoch, np.array(numbers), count)
    for row, number in zip(found, numbers, strict=True):
        np.testing.assert_array_equal(row, generator_of(seed, epoch, number).random(count))


def test_streams_differ_and_an_order_is_a_permutation() -> None:
    drawn = [generator_of(1, 2, 3, stream).random(4) for stream in Stream]
    drawn += [generator_of(*key).random(4) for key in ((2, 1, 3), (1, 3, 2), (1, 2, 4))]
    assert len({tuple(one) for one in drawn}) == len(drawn)
    orders = [epoch_order(1000, 5, epoch, shuffle=True) for epoch in range(3)]
    for order in orders:
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert all((a != b).mean() > 0.9 for a, b in itertools.combinations(orders, 2))
    np.testing.assert_array_equal(orders[1], epoch_order(1000, 5, 1, shuffle=True))
    np.testing.assert_array_equal(epoch_order(7, 5, 1, shuffle=False), np.arange(7))


# Batches: order, errors, threads.


@pytest.mark.sweep(quick=["*-0"])
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_batches_come_in_order_and_the_last_may_be_short(engine: str, workers: int) -> None:
    if engine == "torch" and workers == 3:
        workers = 2
    images = Pictures([Image.new("RGB", (3, 2), (i, 0, 0)) for i in range(20)])
    order = np.random.default_rng(0).permutation(20)
    made = list(loop(engine, images, (BYTES,), order, 6, workers=workers))
    assert [len(batch) for batch in made] == [6, 6, 6, 2]
    assert made[0].shape == (6, 3, 2, 3)
    np.testing.assert_array_equal(np.rint(np.concatenate(made)[:, 0, 0, 0] * 255), order)
    assert list(loop(engine, images, (BYTES,), [])) == []


def test_torchs_workers_are_no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork would copy the threads' locks of all frameworks that run in this process."""
    images = pictures.Telling([noise(4, 4)] * 2)
    monkeypatch.setattr(pictures, "inherited", ["something"])
    (here,) = loop("torch", images, (BYTES,))
    (there,) = loop("torch", images, (BYTES,), workers=1)
    assert [round(float(batch[0, 0, 0, 0] * 255)) for batch in (here, there)] == [1, 0]


@pytest.mark.sweep(quick=["*-0"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_errors_reach_the_consumer_as_they_were(engine: str, workers: int) -> None:
    pictures = [noise(8, 9)] * 4
    cases = [
        (Broken(pictures), (BYTES,), "pictures[2]: cut off"),
        (
            Pictures(pictures), (CenterCrop(size=9), BYTES),
            "center_crop.size (=9) must be at most the sides of the picture (=8 × 9 pixels)",
        ),
        (
            Pictures(pictures), (RandomCrop(size=13, padding=2), BYTES),
            "random_crop.size (=13) must be at most the sides of the picture "
            "(=8 × 9 pixels with 2 pixels around them)",
        ),
        (
            Pictures(pictures), (RandomCrop(size=9, padding=8, mode="reflect"), BYTES),
            "random_crop.padding (=8) must be less than the sides of the picture "
            "(=8 × 9 pixels) to mirror it",
        ),
        (
            Pictures([*pictures, noise(9, 9)]), (BYTES,),
            "images of a batch must be of one size, but after the transforms image 0 is 8 × 9 "
            "pixels and image 4 9 × 9: end them in a crop or a square resize",
        ),
    ]  # fmt: skip
    for images, steps, message in cases[: None if workers == 0 else 1]:
        with pytest.raises(InputError) as found:
            run(engine, images, steps, workers=workers)
        assert str(found.value) == message
    assert not threads_of_batches()


@pytest.mark.parametrize("engine", ENGINES)
def test_impossible_pipelines_are_refused_at_once(engine: str) -> None:
    images = Pictures([noise(8, 8)])
    for steps in ((), (Resize(size=8),), (BYTES, Resize(size=8)), (BYTES, BYTES)):
        with pytest.raises(SpecError, match="transforms must end in normalize, and have it once"):
            loop(engine, images, steps)
    with pytest.raises(SpecError, match=r"batch_size \(=0\) must be at least 1"):
        loop(engine, images, (BYTES,), batch_size=0)
    with pytest.raises(SpecError, match=r"workers \(=-1\) must be at least 0"):
        loop(engine, images, (BYTES,), workers=-1)


def test_a_random_transform_needs_a_generator() -> None:
    with pytest.raises(SpecError, match="random_crop draws numbers: it needs a generator"):
        reference.apply(noise(8, 8), (RandomCrop(size=8), BYTES), None)
    for steps in ((), (Resize(size=4),)):
        with pytest.raises(SpecError, match="transforms must end in normalize"):
            reference.apply(noise(8, 8), steps, None)
    found = reference.apply(noise(9, 8), (CenterCrop(size=4), BYTES), None)
    expected = reference.pixels(noise(9, 8), (CenterCrop(size=4),))
    np.testing.assert_array_equal(pixels(found), expected)


class Watched(Pictures):
    """Says which pictures were asked for, and by whom."""

    def __init__(self, count: int) -> None:
        super().__init__([noise(4, 4)] * count)
        self.asked: set[int] = set()
        self.third = threading.Event()

    def picture(self, index: int) -> Image.Image:
        self.asked.add(index)
        if index == 2:
            self.third.set()
        return super().picture(index)


def test_threads_work_ahead_a_little_and_stop_when_nobody_listens() -> None:
    images = Watched(50)
    made = loop("numpy", images, (BYTES,), batch_size=1, workers=1)
    assert not images.asked  # nothing starts before somebody listens
    next(made)
    assert images.third.wait(60)  # while the first batch is in use
    made.close()
    assert not threads_of_batches()
    assert images.asked == {0, 1, 2}
    lazy = Watched(50)
    next(loop("numpy", lazy, (BYTES,), batch_size=1))
    assert lazy.asked == {0}


# Targets.


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_targets_are_pytorchs_label_smoothing(smoothing: float, rng: np.random.Generator) -> None:
    labels = rng.integers(0, 7, 20)
    targets = targets_of(labels, 7, smoothing)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    logits = torch.from_numpy(rng.standard_normal((20, 7)))
    loss = torch.nn.functional.cross_entropy
    expected = loss(logits, torch.from_numpy(labels), label_smoothing=smoothing)
    found = loss(logits, torch.from_numpy(targets.astype(np.float64)))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(InputError, match=r"labels \(=0 to 7\) must be from 0 to 6"):
        targets_of(np.array([0, 7]), 7)
    with pytest.raises(SpecError, match=r"label_smoothing \(=2\)"):
        targets_of(labels, 7, 2)


def constant_images(n: int, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return images of one value each, and their targets: what was pasted can be counted."""
    images = np.broadcast_to(
        np.arange(n, dtype=np.float32)[:, None, None, None], (n, 3, side, side)
    )
    return images, targets_of(np.arange(n), n)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 7), alpha=st.floats(0.1, 5))
def test_mixed_targets_say_what_is_in_an_image(seed: int, n: int, alpha: float) -> None:
    images, targets = constant_images(n)
    kept = images.copy()
    for mix in (Mix(mixup=alpha), Mix(cutmix=alpha), Mix(mixup=alpha, cutmix=alpha)):
        mixed, found = mix_batch(images, targets, mix, generator_of(seed, 0, 0, Stream.MIX))
        assert (mixed.dtype, found.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        # The mean of an image is that of the two values by their shares, and so is the target's.
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), found @ np.arange(n), atol=1e-4)
        for i in range(n):
            assert set(np.nonzero(found[i])[0]) <= {i, n - 1 - i}
    np.testing.assert_array_equal(images, kept)


def test_mixing_is_drawn_as_asked() -> None:
    images, targets = constant_images(4)

    def drawn(mix: Mix) -> list[np.ndarray]:
        made = []
        for step in range(400):
            mixed, found = mix_batch(images, targets, mix, generator_of(0, 0, step, Stream.MIX))
            values = [np.unique(one) for one in mixed]
            pasted = any(len(v) > 1 for v in values)
            made.append((found[0, 0], pasted, mixed is images))
        return [np.array(column) for column in zip(*made, strict=True)]

    share, pasted, untouched = drawn(Mix(mixup=1.0))
    assert not pasted.any()
    assert not untouched.any()
    assert chi_square(np.histogram(share, 10, (0, 1))[0]) < 4  # Beta(1, 1) is even
    share, pasted, _ = drawn(Mix(mixup=0.2))
    assert (np.minimum(share, 1 - share) < 0.1).mean() > 0.6  # and a small alpha mixes little
    share, pasted, _ = drawn(Mix(cutmix=1.0))
    assert pasted.mean() > 0.9
    assert 0.55 < share.mean() < 0.75  # more than a half: a rectangle is cut at the edge
    _, pasted, untouched = drawn(Mix(mixup=0.5, cutmix=1.0, p=0.5))
    assert abs(untouched.mean() - 0.5) < 0.1
    assert abs(pasted.mean() - 0.25) < 0.1
    assert drawn(Mix())[2].all()
    assert drawn(Mix(mixup=1.0, p=0.0))[2].all()


def test_a_rectangle_is_where_timm_would_put_it() -> None:
    """Of the share kept, its side is the root; its middle is anywhere."""
    from zoo.data.batches import _side

    spans = [_side(32, 0.75, generator_of(0, 0, i)) for i in range(500)]
    assert {(a + b) // 2 for a, b in spans if b - a == 16} == set(range(8, 25))
    assert {b - a for a, b in spans} == set(range(8, 17))
    assert all(0 <= a < b <= 32 for a, b in spans)
    assert _side(32, 1.0, generator_of(0, 0))[0] == _side(32, 1.0, generator_of(0, 0))[1]
    middle = _side(32, 0.0, generator_of(0, 0))
    assert middle[1] - middle[0] >= 16


def test_a_network_that_is_fed_bytes_gets_them():
    """As megvii's are: scaled to 0..1 and back, one of the 256 would be another number."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    raw = Normalize(mean=(0, 0, 0), std=(1 / 255,) * 3)
    assert np.array_equal(reference.normalize(image, raw), image.transpose(2, 0, 1))
    nearly = Normalize(mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 254))
    found = reference.normalize(image, nearly)
    assert not np.array_equal(found[0], image[..., 0])
    np.testing.assert_allclose(found[2], image[..., 2] * (254 / 255), rtol=1e-6)


SIZES = [
    (Resize(size=32), (90, 45), (64, 32)), (Resize(size=9, square=True), (90, 45), (9, 9)),
    (CenterCrop(size=32), (90, 45), (32, 32)), (RandomCrop(size=48, padding=2), (90, 45), (48, 48)),
    (RandomResizedCrop(size=7), (90, 45), (7, 7)), (RandomHorizontalFlip(), (90, 45), (90, 45)),
    (ColorJitter(hue=0.1), (90, 45), (90, 45)),
]  # fmt: skip


@pytest.mark.parametrize(("step", "size", "expected"), SIZES, ids=[str(s[0]) for s in SIZES])
def test_sizes_are_known_before_a_picture_is_touched(step, size, expected, rng):
    picture = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    made = reference.pixels(picture, [step], np.random.default_rng(0))
    assert step.output_size(size) == made.shape[1::-1] == expected
    assert fixed_size([step]) == (expected if expected[0] == expected[1] else None)
