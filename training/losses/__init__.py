"""Losses, one a file, and the registry that presets choose from by name.

Every loss takes a whole batch with masks instead of indexing it, so that nothing waits for the device.
"""

from __future__ import annotations

from typing import Literal, Protocol

from torch import Tensor

from reactkd_auto.training.losses.cross_entropy import cross_entropy
from reactkd_auto.training.losses.dose_consistency import dose_consistency
from reactkd_auto.training.losses.edge import edge_loss
from reactkd_auto.training.losses.focal import focal
from reactkd_auto.training.losses.logits_kd import logits_kl, node_logit_kl
from reactkd_auto.training.losses.node import NodeProjection, node_loss
from reactkd_auto.training.losses.ordinal import ordinal
from reactkd_auto.training.losses.segmentation import dice_and_cross_entropy

ClassificationName = Literal["focal", "cross_entropy", "ordinal"]


class ClassificationLoss(Protocol):
    """Logits (B, K), labels (B,) with −1 for ungraded, class weights (K,) or None -> scalar."""

    def __call__(self, logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean over the graded samples; 0 where there are none."""


CLASSIFICATION: dict[ClassificationName, ClassificationLoss] = {
    "focal": focal,
    "cross_entropy": cross_entropy,
    "ordinal": ordinal,
}
"""Classification losses by the name that a preset uses."""

__all__ = [
    "CLASSIFICATION",
    "ClassificationLoss",
    "ClassificationName",
    "NodeProjection",
    "cross_entropy",
    "dice_and_cross_entropy",
    "dose_consistency",
    "edge_loss",
    "focal",
    "logits_kl",
    "node_logit_kl",
    "node_loss",
    "ordinal",
]
