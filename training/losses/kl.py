"""Distillation of logits by Kullback-Leibler divergence."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(softmax(z_T/T) ‖ softmax(z_S/T)) over the last axis; gradients reach the student only.

    Hinton et al. 2015, arXiv 1503.02531; T² keeps the gradient's size independent of T.
    """
    log_teacher = functional.log_softmax(teacher.detach().float() / temperature, dim=-1)
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    return temperature**2 * (log_teacher.exp() * (log_teacher - log_student)).sum(-1)


def logits_kl(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Mean over the batch of `softened_kl` of (B, K) logits. Ungraded samples count like all others."""
    return softened_kl(student, teacher, temperature).mean()


class LogitsKl(DistillationLoss):
    """`logits_kl` of patients."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `logits_kl`."""
        return logits_kl(lesson.student.logits, lesson.teacher.logits, temperature=self.temperature)
