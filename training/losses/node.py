"""Distillation of node features."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from reactkd_auto.networks import GraphInputs
from reactkd_auto.networks.standardise import RunningStandardisation
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting
from reactkd_auto.training.losses.masked import masked_mean

DECAY = 0.99


class NodeProjection(nn.Module):
    """W of METHOD.md section 3 (student width -> teacher width), and μ, σ of the teacher's node features."""

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(student_width, teacher_width)
        self.standardisation = RunningStandardisation(teacher_width, decay=DECAY)

    def target(self, features: Tensor, mask: Tensor) -> Tensor:
        """(h_T − μ) / σ of teacher features (B, N, D), whose valid nodes (mask (B, N)) are taken into μ and σ first."""
        self.standardisation.observe(features, mask)
        standardised: Tensor = self.standardisation(features.detach())
        return standardised

    def forward(self, features: Tensor) -> Tensor:
        """W h_S: (B, N, student width) -> (B, N, teacher width)."""
        return self.linear(features.float())


def node_loss(projected: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """SmoothL1(W h_S, (h_T − μ)/σ), mean over the valid nodes and all features.

    A mean squared error of unit vectors would vanish like 4/width; standardised targets keep the loss of order one.

    Args:
        projected: (B, N, D) W h_S.
        target: (B, N, D) standardised teacher features; no gradient goes there.
        mask: (B, N) nodes that are valid in teacher and student.
    """
    losses = functional.smooth_l1_loss(projected.float(), target.detach(), reduction="none").mean(-1)
    return masked_mean(losses, mask)


class ProjectedNodes(DistillationLoss):
    """A loss of node features with the projection that is trained for it."""

    needs_graph = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.projection = NodeProjection(setting.node_width, setting.node_width)


class NodeLoss(ProjectedNodes):
    """`node_loss` of the nodes that both graphs have."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `node_loss`."""
        target = self.projection.target(lesson.teacher.node_features, lesson.nodes)
        return node_loss(self.projection(lesson.student.node_features), target, lesson.nodes)

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Nodes."""
        return graph.node_valid.sum()
