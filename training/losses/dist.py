"""Distillation of relations between classes and between samples."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.errors import UserError
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting

SMALLEST_BATCH = 8
SMALLEST_NORM = 1e-6


def dist(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T² (inter + intra) with 1 − Pearson's ρ as distance (Huang et al. 2022, arXiv 2205.10536, β = γ = 1).

    inter: ρ of a sample's class probabilities, mean over samples. intra: ρ of a class's probabilities over the batch,
    mean over classes. Two probabilities always correlate by ±1, so for two classes the intra-class term stands alone.

    Args:
        student, teacher: (B, K) logits.
        temperature: T.
    """
    p, q = ((z.float() / temperature).softmax(1) for z in (student, teacher.detach()))
    loss = 1 - _correlation(p.T, q.T)
    if student.shape[1] > 2:
        loss = loss + 1 - _correlation(p, q)
    return temperature**2 * loss


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Mean of Pearson's ρ over rows."""
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    norms = (a.square().sum(1) * b.square().sum(1)).clamp(min=SMALLEST_NORM**2).sqrt()
    return ((a * b).sum(1) / norms).mean()


class Dist(DistillationLoss):
    """`dist` of patients; refused for batches too small to correlate over.

    Raises:
        UserError: Fewer than 8 samples in a batch.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.preset = setting.preset
        self._refuse_small(setting.batch_size)
        if setting.classes == 2:
            self.remark = "DIST: with 2 classes its inter-class term says nothing, only the intra-class one is used."

    def _refuse_small(self, samples: int) -> None:
        if samples < SMALLEST_BATCH:
            raise UserError(
                f"--preset {self.preset}: DIST correlates over a batch, found {samples} samples in one, expected at "
                f"least {SMALLEST_BATCH}; plan with --batch_size {SMALLEST_BATCH}, or use another preset."
            )

    def forward(self, lesson: Lesson) -> Tensor:
        """See `dist`."""
        self._refuse_small(len(lesson.student.logits))
        return dist(lesson.student.logits, lesson.teacher.logits, temperature=self.temperature)
