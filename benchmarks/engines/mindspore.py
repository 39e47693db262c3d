"""MindSpore: ours and MindCV's."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.base import Network, Run, Task, material
from engines.peers import mindcv_cell, torch_name


def network(cell: Any) -> Network:
    """Return a cell in the mode that MindSpore is set to."""
    from mindspore import Tensor

    cell.set_train(False)
    parameters = sum(parameter.size for parameter in cell.trainable_params())

    def bind(x: np.ndarray) -> Run:
        images = Tensor(x)
        # PyNative returns before it has computed: only asnumpy() waits for the result.
        return lambda: cell(images).asnumpy()

    return Network(parameters, bind)


def ours(task: Task, *, mindcv: bool = False, **options: Any) -> Network:
    """Build ours in graph mode.

    Args:
        task: with material, the network has the peer's weights.
        mindcv: take MindCV's conventions and weights, not those of the peer in PyTorch.
        **options: of `zoo.create`.
    """
    import mindspore as ms

    import zoo

    ms.set_context(mode=ms.GRAPH_MODE)
    if task.material is not None:
        options["weights"] = material(task, "mindcv.ckpt" if mindcv else "peer.pth")
        options["conventions"] = "mindcv" if mindcv else torch_name(task.model)[0]
    return network(zoo.create(task.model, backend="mindspore", **options))


def peer(task: Task, *, graph: bool, cap: bool) -> Network:
    """Build MindCV's network.

    Args:
        task: its threads are not used: processes are bound to as many cores.
        graph: graph mode instead of PyNative, which is MindSpore's default.
        cap: limit oneDNN as our backend does.
    """
    import mindspore as ms

    if graph:
        ms.set_context(mode=ms.GRAPH_MODE)
    if cap:
        import backends.mindspore  # noqa: F401 - caps on import, before the first operator

    cell = mindcv_cell(task.model)
    if task.material is not None:
        found = ms.load_checkpoint(str(material(task, "mindcv.ckpt")))
        missing, unused = ms.load_param_into_net(cell, found, strict_load=True)
        if missing or unused:
            raise ValueError(f"MindCV's own file does not fit it: {missing}, {unused}")
    return network(cell)
