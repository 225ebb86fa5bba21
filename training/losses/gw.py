"""Gromov-Wasserstein distillation of region graphs."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.networks import GraphInputs
from reactkd_auto.training.losses.edge import cosine_matrix, edge_loss
from reactkd_auto.training.losses.gromov_wasserstein import fused_gromov_wasserstein
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson
from reactkd_auto.training.losses.masked import masked_mean


def gw_loss(student: Tensor, teacher: Tensor, student_mask: Tensor, teacher_mask: Tensor) -> Tensor:
    """Gromov-Wasserstein discrepancy of D = 1 − cos, mean over samples where both graphs have nodes.

    Args:
        student: (B, N, D_S) node features.
        teacher: (B, M, D_T) node features; no gradient goes there.
        student_mask: (B, N) valid nodes.
        teacher_mask: (B, M) valid nodes. The very tensor ``student_mask`` says that nodes correspond one to one: the
            plan is the identity then, the discrepancy equals `edge_loss`, and no solver runs.
    """
    if teacher_mask is student_mask:
        return edge_loss(student, teacher, student_mask)
    value, _ = fused_gromov_wasserstein(
        1 - cosine_matrix(student), 1 - cosine_matrix(teacher.detach()), student_mask, teacher_mask
    )
    return masked_mean(value, student_mask.any(1) & teacher_mask.any(1))


class GwLoss(DistillationLoss):
    """`gw_loss`."""

    needs_graph = True

    def forward(self, lesson: Lesson) -> Tensor:
        """See `gw_loss`."""
        student, teacher = lesson.student, lesson.teacher
        return gw_loss(student.node_features, teacher.node_features, student.node_valid, teacher.node_valid)

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Samples that have nodes."""
        return graph.node_valid.any(1).sum()
