"""Training in Lightning's, accelerate's and timm's hands, and in a plain loop with autocast."""

from __future__ import annotations

import copy

import lightning
import numpy as np
import pytest
import torch
from accelerate import Accelerator, cpu_offload
from ecosystem_material import FEW_UNITS, V2, error, images, made
from lightning.pytorch.callbacks import StochasticWeightAveraging
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3, freeze, unfreeze
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch.utils.data import DataLoader, TensorDataset

import zoo

LABELS = torch.arange(16) % 10


def batches():
    return DataLoader(TensorDataset(images(16), LABELS), 8)


def training():
    """Return a network to train, of whose parameters none is 0."""
    model = made(V2, **FEW_UNITS).train()
    generator = torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return model


def same(found, expected):
    return all(np.array_equal(found[name], expected[name]) for name in expected)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = training()
        self.dtypes, self.losses, self.starts = set(), [], []

    def on_train_epoch_start(self):
        self.starts.append(zoo.get_weights(self.net)["stage3.0.expand.conv.weight"])

    def training_step(self, batch, index):
        x, y = batch
        logits = self.net(x)
        self.dtypes.add(logits.dtype)
        loss = F.cross_entropy(logits, y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.05)


@pytest.mark.filterwarnings("ignore")
def test_lightning_in_bfloat16_with_averaged_weights(tmp_path):
    module, epochs = Module(), 6
    averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=3)
    trainer = lightning.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", devices=1, max_epochs=epochs,
        precision="bf16-mixed", callbacks=[averaging], logger=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, batches())
    assert module.dtypes == {torch.bfloat16}
    assert module.losses[-2] < module.losses[0]
    *starts, averaged = module.starts  # one epoch more, for the batch norms of the average
    np.testing.assert_allclose(averaged, np.mean(starts[2:], 0), rtol=1e-4, atol=1e-6)
    assert np.abs(starts[-1] - starts[2]).max() > 1e-4

    trainer.save_checkpoint(tmp_path / "end.ckpt")
    read = zoo.load_weights(tmp_path / "end.ckpt", conventions="megvii")
    assert (read.spec.stage_repeats, read.spec.num_classes) == (FEW_UNITS["stage_repeats"], 10)
    assert same(read, zoo.get_weights(module.net))


@pytest.mark.filterwarnings("ignore")
def test_accelerate_trains_and_saves(tmp_path):
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = training()
    before = zoo.get_weights(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    wrapped, optimizer, loader = accelerator.prepare(model, optimizer, batches())
    losses = []
    for _ in range(3):
        for x, y in loader:
            loss = F.cross_entropy(wrapped(x), y)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(wrapped.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-2] < losses[0]
    assert accelerator.unwrap_model(wrapped) is model
    accelerator.save_model(wrapped, tmp_path)
    found = zoo.load_weights(tmp_path / "model.safetensors", conventions="megvii")
    assert same(found, zoo.get_weights(wrapped))
    trained = model.zoo_graph.parameters
    assert not any(np.array_equal(found[n], before[n]) for n in trained)


def test_accelerate_keeps_layers_elsewhere_until_they_are_called():
    model, x = made(V2, **FEW_UNITS), images()
    expected = model(x)
    cpu_offload(model, execution_device="cpu")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert torch.equal(model(x), expected)


def test_autocast_and_a_scaled_loss_give_nearly_the_same_gradients():
    x, y = images(16), LABELS
    plain, cast = training().eval(), training().eval()  # whose batch norms undo nothing
    F.cross_entropy(plain(x), y).backward()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(cast(x), y)
    scaler.scale(loss).backward()
    optimizer = torch.optim.SGD(cast.parameters(), 0.0)
    scaler.unscale_(optimizer)
    for (name, p), q in zip(plain.named_parameters(), cast.parameters(), strict=True):
        assert F.cosine_similarity(p.grad.flatten(), q.grad.flatten(), dim=0) > 0.95, name
        assert 0.9 < q.grad.norm() / p.grad.norm() < 1.1, name
        assert not torch.equal(p.grad, q.grad), name


@pytest.mark.parametrize("way", ["whole", "a stage"])
def test_recomputed_activations_give_the_same_gradients(way):
    model, x = made(V2), images()
    twin = copy.deepcopy(model)
    model(x).square().mean().backward()
    if way == "whole":
        found = checkpoint(twin, x, use_reentrant=False)
    else:
        before = twin.stage2(twin.stem(x))
        after = checkpoint_sequential(twin.stage3, 3, before, use_reentrant=False)
        pooled = twin.pool(twin.last(twin.stage4(after)))
        found = twin.classifier(pooled.flatten(1))
    found.square().mean().backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_timm_freezes_stages():
    model, x = training(), images(4)
    before = zoo.get_weights(model)
    freeze(model, ["stem", "stage2"])
    optimizer = torch.optim.SGD(
        (p for p in model.parameters() if p.requires_grad), 0.05, weight_decay=0.1
    )
    for _ in range(2):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    unfreeze(model, ["stem", "stage2"])
    after = zoo.get_weights(model)
    frozen = {name for name in before if np.array_equal(before[name], after[name])}
    assert frozen == {name for name in before if name.startswith(("stem.", "stage2."))}
    assert all(p.requires_grad for p in model.parameters())
    norms = [m for m in model.modules() if hasattr(m, "running_var")]
    assert {type(norm) for norm in norms} == {nn.BatchNorm2d}


def test_timm_spares_norms_and_biases_of_weight_decay():
    model = made("shufflenet_v1_0.5x_g3_cifar")
    optimizer = create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.1)
    groups = {group["weight_decay"]: group["params"] for group in optimizer.param_groups}
    assert {p.dim() for p in groups[0.0]} == {1}
    assert {p.dim() for p in groups[0.1]} == {2, 4}
    assert len(groups[0.0]) + len(groups[0.1]) == len(list(model.parameters()))


def test_timm_keeps_a_moving_average():
    model, x = training(), images(8)
    first = {k: v.clone() for k, v in model.state_dict().items()}
    average = ModelEmaV3(model, decay=0.75)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    model(x).square().mean().backward()
    optimizer.step()
    average.update(model)
    for name, last in model.state_dict().items():
        if last.is_floating_point():
            expected = 0.75 * first[name] + 0.25 * last
            assert error(average.module.state_dict()[name], expected) < 1e-6, name
    assert type(average.module) is type(model)
    with torch.no_grad():
        assert not torch.equal(average.module.eval()(x), model.eval()(x))
