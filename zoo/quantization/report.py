"""What a quantization did and what it costs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.output import write
from zoo.quantization.measure import Accuracy, Costs


@dataclass(frozen=True, kw_only=True, repr=False)
class QuantizationReport:
    """What `zoo.quantize` wrote, and the accuracy, agreement, size and time of it.

    Attributes:
        path: the file.
        model: the network.
        settings: what the file was made with, as its metadata ``zoo.quantization`` says.
        float32_units: what was left in float32.
        float32_share: the share of the multiply-adds that this is.
        expected_error: relative L2 error of the logits that was expected of this choice; None where
            it was not chosen by measurement.
        calibration: the folder of the images that the ranges come from.
        calibration_images: how many there were.
        evaluation: the folder of the images that was measured on.
        evaluation_images: how many there were.
        held_out: whether these are other images than those of the calibration.
        costs: what was measured.
        notes: what else there is to know.
        made_with: versions and the machine.
    """

    path: Path
    model: str
    settings: Mapping[str, Any]
    float32_units: tuple[str, ...]
    float32_share: float
    expected_error: float | None
    calibration: Path
    calibration_images: int
    evaluation: Path
    evaluation_images: int
    held_out: bool
    costs: Costs
    notes: tuple[str, ...]
    made_with: Mapping[str, Any]

    @property
    def cost_top1(self) -> float | None:
        """What 8 bits cost in points of top-1 accuracy; None where the classes are not known."""
        return _points(self.costs.float32_accuracy, self.costs.int8_accuracy, "top1")

    @property
    def cost_top5(self) -> float | None:
        """What 8 bits cost in points of top-5 accuracy; None where the classes are not known."""
        return _points(self.costs.float32_accuracy, self.costs.int8_accuracy, "top5")

    def to_json(self) -> str:
        """Return everything as JSON."""
        costs = {"cost_top1": self.cost_top1, "cost_top5": self.cost_top5}
        return json.dumps(dataclasses.asdict(self) | costs, indent=1, default=str)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), (self.to_json() + "\n").encode())

    def __repr__(self) -> str:
        return f"<QuantizationReport {str(self).splitlines()[0]}>"

    def __str__(self) -> str:
        """Return it in lines for people."""
        costs, agreed = self.costs, self.costs.agreement
        images = f"{self.evaluation_images} images of {self.evaluation}"
        if not self.held_out:
            images += ", on which it was calibrated too"
        lines = [
            f"{self.path}: {self.model} of 8 bits, {self.settings['method']} over "
            f"{self.calibration_images} images of {self.calibration}",
            f"left in float32: {', '.join(self.float32_units) or 'nothing'} "
            f"({self.float32_share:.0%} of the multiply-adds)",
            f"measured on {images}:",
            f"  same class   {agreed.top1:.1%}; {agreed.top5:.1%} of the best five",
            f"  logits       {agreed.relative_l2:.3f} from float32's (relative L2), "
            f"cosine {agreed.cosine:.4f}",
        ]
        before, after = costs.float32_accuracy, costs.int8_accuracy
        if before and after and self.cost_top1 is not None and self.cost_top5 is not None:
            lines += [
                f"  top-1        {after.top1:.1%}, float32 {before.top1:.1%}: "
                f"{0.0 - self.cost_top1:+.1f} points",
                f"  top-5        {after.top5:.1%}, float32 {before.top5:.1%}: "
                f"{0.0 - self.cost_top5:+.1f} points",
            ]
        time, sizes = costs.latency, (costs.int8_bytes, costs.float32_bytes)
        lines += [
            f"  file         {sizes[0] / 2**20:.2f} MiB, float32 {sizes[1] / 2**20:.2f} MiB: "
            f"{sizes[1] / sizes[0]:.1f} times smaller",
            f"  one image    {time.int8 * 1e3:.2f} ms, float32 {time.float32 * 1e3:.2f} ms: "
            f"{time.speed:.2f} times as fast",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _points(before: Accuracy | None, after: Accuracy | None, what: str) -> float | None:
    if before is None or after is None:
        return None
    points: float = 100 * (getattr(before, what) - getattr(after, what))
    return round(points, 6)
