"""The loss of labels that a preset and a plan choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan
from reactkd_auto.training.losses import CLASSIFICATION, ClassificationLoss
from reactkd_auto.training.losses.masked import graded
from reactkd_auto.training.preset import ClassificationChoice, ClassificationName
from reactkd_auto.training.sampling import planned_class_weights


@dataclass(frozen=True)
class LabelLoss:
    """A classification loss with its class weights: (logits, label) -> scalar."""

    loss: ClassificationLoss
    weights: Tensor | None

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean over graded samples, 0 where there are none."""
        return self.loss(logits, label, self.weights)

    def count(self, label: Tensor) -> Tensor:
        """How much samples of these labels (B,) count in that mean."""
        return graded(label, self.weights).sum()


def label_loss(
    choice: ClassificationChoice,
    plan: Plan,
    dataset: Dataset,
    cases: Sequence[CaseProperties],
    device: torch.device,
) -> LabelLoss:
    """The chosen loss; class weights from ``cases`` where the plan balances by weights."""
    weights = planned_class_weights(cases, plan, len(dataset.classes))
    on_device = None if weights is None else torch.tensor(weights, device=device)
    return LabelLoss(CLASSIFICATION[loss_name(choice, dataset)], on_device)


def loss_name(choice: ClassificationChoice, dataset: Dataset) -> ClassificationName:
    """``by_dataset``: ordinal for more than two ordered classes, else focal."""
    if choice != "by_dataset":
        return choice
    return "ordinal" if dataset.classes_ordered and len(dataset.classes) > 2 else "focal"
