"""What MindSpore has compiled is used again with other weights, and computes with these."""

from __future__ import annotations

import numpy as np
import pytest
from trainer_material import small_batches, small_network, small_recipe

import backends
import weights


def everything(engine, seed):
    """Return all that a proof asks of a backend, under weights from a seed."""
    graph = small_network()
    arrays = weights.randomize(graph, seed)
    (x, targets), y = small_batches(1)[0], np.arange(12) % 5
    found = []
    for training in (False, True):
        more = {"training": training, "dtype": "float32"}
        found += [*engine.forward(graph, arrays, x, **more)]
        found.append(engine.gradients(graph, arrays, x, y, **more)[1])
    trainer = engine.trainer(graph, arrays, small_recipe({"name": "sgd", "lr": 1, "momentum": 0.9}))
    trainer.step(x, targets, lr=0.1, momentum=None)
    return [*found, trainer.weights(), *trainer.slots().values()]


@pytest.mark.exhaustive
def test_what_is_kept_computes_with_the_weights_that_it_is_given():
    from backends.mindspore.run import keep_compiled

    engine = backends.load("mindspore")
    fresh = [everything(engine, seed) for seed in (1, 2)]
    with keep_compiled():
        kept = [everything(engine, seed) for seed in (1, 2, 1)]
    for one, other in zip(kept, [*fresh, fresh[0]], strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    # The negative control: the seeds are told apart.
    assert any(
        (a != b).any() for a, b in zip(kept[0][2].values(), kept[1][2].values(), strict=True)
    )
