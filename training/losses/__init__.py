"""Losses, one a file, and the registries that presets choose from by name.

Every loss takes a whole batch with masks instead of indexing it, so that nothing waits for the device.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from reactkd_auto.training.losses.attention_transfer import AttentionTransfer, attention_transfer
from reactkd_auto.training.losses.cirkd import CrossImageRelations, cross_image_relations
from reactkd_auto.training.losses.cross_entropy import cross_entropy
from reactkd_auto.training.losses.dist import Dist, dist
from reactkd_auto.training.losses.dkd import DecoupledKd, dkd
from reactkd_auto.training.losses.dose_consistency import dose_consistency
from reactkd_auto.training.losses.edge import EdgeLoss, edge_loss
from reactkd_auto.training.losses.fgw import FusedGwLoss, fused_gw_loss
from reactkd_auto.training.losses.fitnet import FitNet, hint_loss
from reactkd_auto.training.losses.focal import focal
from reactkd_auto.training.losses.gromov_wasserstein import fused_gromov_wasserstein
from reactkd_auto.training.losses.gw import GwLoss, gw_loss
from reactkd_auto.training.losses.kl import LogitsKl, logits_kl
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting
from reactkd_auto.training.losses.logit_std import StandardisedKl, standardised_kl
from reactkd_auto.training.losses.mse import LogitsMse, logits_mse
from reactkd_auto.training.losses.node import NodeLoss, NodeProjection, node_loss
from reactkd_auto.training.losses.node_logit import NodeLogitKl, node_logit_kl
from reactkd_auto.training.losses.ordinal import ordinal
from reactkd_auto.training.losses.segmentation import dice_and_cross_entropy
from reactkd_auto.training.preset import ClassificationName, LossName


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

DISTILLATION: dict[LossName, type[DistillationLoss]] = {
    "kl": LogitsKl,
    "mse": LogitsMse,
    "dkd": DecoupledKd,
    "dist": Dist,
    "logit_std": StandardisedKl,
    "node": NodeLoss,
    "node_logit": NodeLogitKl,
    "edge": EdgeLoss,
    "gw": GwLoss,
    "fgw": FusedGwLoss,
    "fitnet": FitNet,
    "at": AttentionTransfer,
    "cirkd": CrossImageRelations,
}
"""Losses of distillation by the name that a preset uses."""

__all__ = [
    "CLASSIFICATION",
    "DISTILLATION",
    "ClassificationLoss",
    "DistillationLoss",
    "Lesson",
    "NodeProjection",
    "Setting",
    "attention_transfer",
    "cross_entropy",
    "cross_image_relations",
    "dice_and_cross_entropy",
    "dist",
    "dkd",
    "dose_consistency",
    "edge_loss",
    "focal",
    "fused_gromov_wasserstein",
    "fused_gw_loss",
    "gw_loss",
    "hint_loss",
    "logits_kl",
    "logits_mse",
    "node_logit_kl",
    "node_loss",
    "ordinal",
    "standardised_kl",
]
