"""What is nearly a file of weights: a head of other code, an average, another width."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from weights import formats, initialize
from weights.dialects import find_dialect


def resnet(spec=None, **renamed):
    """Return the arrays of a small ResNet in torchvision's names, some of them renamed."""
    spec = spec or zoo.spec("resnet18", num_classes=3)
    (torchvision,) = find_dialect("torchvision", "resnet")
    arrays = torchvision.write(spec.graph, initialize(spec.graph, 0))
    return {
        next((new + name[len(old) :] for old, new in renamed.items() if name.startswith(old)), name)
        : array for name, array in arrays.items()
    }  # fmt: skip


@pytest.mark.parametrize("head", ["head.fc", "classifier.1"])
def test_a_head_of_other_code(head, tmp_path):
    formats.write(tmp_path / "a.npz", resnet(**{"fc.": f"{head}."}))
    with pytest.raises(zoo.WeightsError) as error:
        zoo.create("resnet18", backend="numpy", weights=tmp_path / "a.npz")
    assert str(error.value) == (
        f"{tmp_path / 'a.npz'}: 100 of 102 names are of dialect torchvision for resnet, whose "
        f"classifier is 'fc', not {head!r}: the head is of other code; rename it, or leave it out "
        "(num_classes=0)"
    )


def test_what_an_average_counts_is_no_weight(tmp_path):
    """As `torch.optim.swa_utils.AveragedModel` keeps it, beside what begins with ``module.``."""
    averaged = {f"module.{name}": array for name, array in resnet().items()}
    formats.write(tmp_path / "a.npz", {"n_averaged": np.array(3.0, np.float32), **averaged})
    found = zoo.load_weights(tmp_path / "a.npz")
    assert found.spec == zoo.spec("resnet18", num_classes=3)
    assert "'n_averaged' is a single number, not a weight: not read" in found.notes
    assert np.array_equal(found["classifier.weight"], averaged["module.fc.weight"])


def test_another_width(tmp_path):
    spec = zoo.spec("resnet18", num_classes=3, stage_channels=(16, 32, 64, 128))
    formats.write(tmp_path / "a.npz", resnet(spec))
    with pytest.raises(zoo.WeightsError, match=r"holds resnet, not resnet18: stage_channels \(="):
        zoo.create("resnet18", backend="numpy", weights=tmp_path / "a.npz")
