"""The engines that are measured: networks of ours and of peers, each in a run-time."""

from engines import deploy, forward
from engines.base import BATCHES, IMAGE_SIZE, Engine

ENGINES: dict[str, Engine] = forward.ENGINES | deploy.ENGINES
"""All of them by name, which is how a process is told which one to build."""

__all__ = ["BATCHES", "ENGINES", "IMAGE_SIZE", "Engine", "deploy", "forward"]
