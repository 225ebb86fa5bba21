"""Distillation of the relations between regions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.networks import GraphInputs
from reactkd_auto.networks.precision import full_precision
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson
from reactkd_auto.training.losses.masked import masked_mean


def cosine_matrix(features: Tensor) -> Tensor:
    """Cosine between all pairs of nodes: (B, N, D) -> (B, N, N), in float32 at least."""
    with full_precision(features):
        unit = functional.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1, eps=1e-6)
        return unit @ unit.transpose(1, 2)


def edge_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over all pairs (i, j) of valid nodes of (cos_S − cos_T)²; then over samples that have nodes.

    Equals the Gromov-Wasserstein discrepancy between the graphs with D = 1 − cos, uniform weights and the identity as
    plan (METHOD.md section 3), which is why pairs i = j, always 0, are counted.

    Args:
        student: (B, N, D_S) node features.
        teacher: (B, N, D_T) node features; no gradient goes there.
        mask: (B, N) nodes that are valid in both.
    """
    pairs = (mask[:, :, None] & mask[:, None, :]).float()
    squares = torch.where(pairs > 0, (cosine_matrix(student) - cosine_matrix(teacher.detach())) ** 2, 0.0)
    counts = pairs.sum((1, 2))
    return masked_mean(squares.sum((1, 2)) / counts.clamp(min=1.0), counts > 0)


class EdgeLoss(DistillationLoss):
    """`edge_loss` of the nodes that both graphs have."""

    needs_graph = True

    def forward(self, lesson: Lesson) -> Tensor:
        """See `edge_loss`."""
        return edge_loss(lesson.student.node_features, lesson.teacher.node_features, lesson.nodes)

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Samples that have nodes."""
        return graph.node_valid.any(1).sum()
