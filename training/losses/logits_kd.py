"""Distillation of logits, of patients and of region nodes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.masked import masked_mean


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


def node_logit_kl(student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Mean of `softened_kl` over lesion nodes (METHOD.md section 3, L_nlog).

    Args:
        student, teacher: (B, N, K) logits of each node.
        mask: (B, N) true for valid lesion nodes.
        temperature: T.
    """
    return masked_mean(softened_kl(student, teacher, temperature), mask)
