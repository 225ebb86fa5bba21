"""Decoupled knowledge distillation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.kl import softened_kl
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting

TARGET, OTHERS = 1.0, 8.0
"""α and β, as the paper has them on CIFAR-100."""


def dkd(student: Tensor, teacher: Tensor, label: Tensor, *, temperature: float) -> Tensor:
    """α T² KL(b_T ‖ b_S) + β T² KL(q_T ‖ q_S), mean over the batch (Zhao et al. 2022, arXiv 2203.08679).

    b = (p_y, 1 − p_y): the target class against the rest; q: the other classes' probabilities among themselves. Written
    as KL, the second term has the weight 1 − p_y of the teacher, so that a sure teacher's view of the other classes is
    lost; decoupled it keeps β. With two classes there is one other class, q is 1, and the second term vanishes.

    Args:
        student, teacher: (B, K) logits.
        label: (B,) class index; for ungraded samples (−1) the teacher's most probable class stands in (our choice).
        temperature: T.
    """
    target = torch.where(label >= 0, label, teacher.detach().argmax(1))
    at = functional.one_hot(target, student.shape[1]).bool()
    binary = [_target_against_rest(z.float() / temperature, at) for z in (student, teacher.detach())]
    first = temperature**2 * softened_kl(binary[0], binary[1], 1.0)
    lowest = torch.finfo(torch.float32).min / 4
    rest = [z.float().masked_fill(at, lowest) for z in (student, teacher.detach())]
    second = softened_kl(rest[0], rest[1], temperature)
    return (TARGET * first + OTHERS * second).mean()


def _target_against_rest(z: Tensor, at: Tensor) -> Tensor:
    """(B, 2) logits of b: of the target class, and of all others together."""
    target = z.masked_fill(~at, 0.0).sum(1)
    return torch.stack([target, z.masked_fill(at, -torch.inf).logsumexp(1)], 1)


class DecoupledKd(DistillationLoss):
    """`dkd` of patients."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if setting.classes == 2:
            self.remark = "DKD: with 2 classes its second term vanishes, what is left is KL between the two."

    def forward(self, lesson: Lesson) -> Tensor:
        """See `dkd`."""
        return dkd(lesson.student.logits, lesson.teacher.logits, lesson.label, temperature=self.temperature)
