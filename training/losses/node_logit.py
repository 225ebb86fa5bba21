"""Distillation of the grade of each lesion."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.networks import GraphInputs
from reactkd_auto.training.losses.kl import softened_kl
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson
from reactkd_auto.training.losses.masked import masked_mean


def node_logit_kl(student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Mean of `softened_kl` over lesion nodes (METHOD.md section 3, L_nlog).

    Args:
        student, teacher: (B, N, K) logits of each node.
        mask: (B, N) true for valid lesion nodes.
        temperature: T.
    """
    return masked_mean(softened_kl(student, teacher, temperature), mask)


class NodeLogitKl(DistillationLoss):
    """`node_logit_kl` of the lesions that both graphs have."""

    needs_graph = True

    def forward(self, lesson: Lesson) -> Tensor:
        """See `node_logit_kl`."""
        student, teacher = lesson.student.node_logits, lesson.teacher.node_logits
        return node_logit_kl(student, teacher, lesson.nodes & lesson.lesions, temperature=self.temperature)

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Lesions."""
        return (graph.node_valid & lesions).sum()
