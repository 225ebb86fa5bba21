"""Fused Gromov-Wasserstein distillation of region graphs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.networks import GraphInputs
from reactkd_auto.networks.precision import full_precision
from reactkd_auto.training.losses.edge import cosine_matrix
from reactkd_auto.training.losses.gromov_wasserstein import fused_gromov_wasserstein
from reactkd_auto.training.losses.lesson import Lesson
from reactkd_auto.training.losses.masked import masked_mean
from reactkd_auto.training.losses.node import ProjectedNodes

STRUCTURE = 0.5


def fused_gw_loss(
    student: Tensor, teacher: Tensor, student_mask: Tensor, teacher_mask: Tensor, *, projected: Tensor, target: Tensor
) -> Tensor:
    """Fused discrepancy: ½ cost of matching nodes + ½ cost of their relations, whichever node matches which.

    A match costs SmoothL1(W h_S, (h_T − μ)/σ), so that under the identity plan a sample costs half its node loss and
    half its edge loss; the best plan never costs more.

    Args:
        student, teacher, student_mask, teacher_mask: As in `gw.gw_loss`, but nodes are matched in any case.
        projected: (B, N, D) W h_S.
        target: (B, M, D) standardised teacher features; no gradient goes there.
    """
    with full_precision(student):
        shape = (*projected.shape[:2], *target.shape[1:])
        ours, theirs = projected.float()[:, :, None].expand(shape), target.detach()[:, None].expand(shape)
        costs = functional.smooth_l1_loss(ours, theirs, reduction="none").mean(-1)
    value, _ = fused_gromov_wasserstein(
        1 - cosine_matrix(student),
        1 - cosine_matrix(teacher.detach()),
        student_mask,
        teacher_mask,
        features=costs,
        structure=STRUCTURE,
    )
    return masked_mean(value, student_mask.any(1) & teacher_mask.any(1))


class FusedGwLoss(ProjectedNodes):
    """`fused_gw_loss`; the solver runs, known correspondence is not used."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `fused_gw_loss`."""
        student, teacher = lesson.student, lesson.teacher
        return fused_gw_loss(
            student.node_features,
            teacher.node_features,
            student.node_valid,
            teacher.node_valid,
            projected=self.projection(student.node_features),
            target=self.projection.target(teacher.node_features, teacher.node_valid),
        )

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Samples that have nodes."""
        return graph.node_valid.any(1).sum()
