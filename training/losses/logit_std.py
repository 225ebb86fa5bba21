"""Distillation of standardised logits."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.errors import UserError
from reactkd_auto.training.losses.kl import softened_kl
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting

SMALLEST_SD = 1e-6


def standardised_kl(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`softened_kl` of (z − mean z) / sd z, over each sample's classes; mean over the batch.

    Sun et al. 2024, arXiv 2403.01427, alg. 1: the student learns the order and the proportions of the teacher's logits,
    not their size. Any a z + b with a > 0 costs the same as z.

    Args:
        student, teacher: (B, K) logits, K > 2.
        temperature: T, the paper's base temperature.
    """
    return softened_kl(_standardised(student), _standardised(teacher.detach()), temperature).mean()


def _standardised(logits: Tensor) -> Tensor:
    z = logits.float()
    centred = z - z.mean(1, keepdim=True)
    # Students begin with all logits 0, where the square root has no derivative: the floor stands under it.
    return centred / (centred.square().mean(1, keepdim=True) + SMALLEST_SD**2).sqrt()


class StandardisedKl(DistillationLoss):
    """`standardised_kl` of patients; refused for two classes.

    Raises:
        UserError: Two classes.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if setting.classes < 3:
            raise UserError(
                f"--preset {setting.preset}: two standardised logits are always ±1 and teach nothing, found "
                f"{setting.classes} classes, expected 3 or more; use another preset."
            )

    def forward(self, lesson: Lesson) -> Tensor:
        """See `standardised_kl`."""
        return standardised_kl(lesson.student.logits, lesson.teacher.logits, temperature=self.temperature)
