"""Distillation of logits by their squared difference."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson


def logits_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """½ mean (z_S − z_T)² of logits centred over the classes, over batch and classes.

    Ba & Caruana 2014, arXiv 1312.6184. Centred, because softmax does not see what all logits of a sample have in
    common; it is then the limit of `kl.logits_kl` for T → ∞ (Hinton et al. 2015, arXiv 1503.02531, section 2.1).

    Args:
        student, teacher: (B, K) logits.
    """
    s, t = (z.float() - z.float().mean(1, keepdim=True) for z in (student, teacher.detach()))
    return 0.5 * ((s - t) ** 2).mean()


class LogitsMse(DistillationLoss):
    """`logits_mse` of patients."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `logits_mse`."""
        return logits_mse(lesson.student.logits, lesson.teacher.logits)
