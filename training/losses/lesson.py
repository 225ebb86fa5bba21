"""What every loss of distillation is built for and is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from reactkd_auto.networks import GraphInputs, Outputs


@dataclass(frozen=True)
class Lesson:
    """What student and teachers say of one batch. B cases, N nodes, K classes; ungraded cases are among them.

    Attributes:
        student, teacher: Answers; gradients go to the student only.
        label: (B,) class index, −1 for ungraded.
        measured: (B, 1, z, y, x), one a map stage: share of each feature voxel that was measured.
        lesions: bool (N,), node slots that are lesions.
    """

    student: Outputs
    teacher: Outputs
    label: Tensor
    measured: tuple[Tensor, ...]
    lesions: Tensor

    @property
    def nodes(self) -> Tensor:
        """bool (B, N): nodes that both graphs have."""
        return self.student.node_valid & self.teacher.node_valid


@dataclass(frozen=True)
class Setting:
    """Sizes and choices that losses are built with.

    Attributes:
        preset: Its name, for messages.
        temperature: T of softened class probabilities.
        classes: K.
        batch_size: B, of the smallest part that losses see at once.
        width: E, channels of every map.
        maps: Number of map stages.
        node_width: Features of a node.
    """

    preset: str
    temperature: float
    classes: int
    batch_size: int
    width: int
    maps: int
    node_width: int


class DistillationLoss(nn.Module):
    """A loss between a student's and its teachers' answers, with whatever is trained for it and thrown away after.

    Built from a `Setting`; where that does not meet the loss's conditions, building it is a `UserError`.
    """

    needs_graph: ClassVar[bool] = False
    """Whether it is left out where the plan has no region graph."""
    remark: str | None = None
    """What of it is not in force in this setting, for the log."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.temperature = setting.temperature

    def forward(self, lesson: Lesson) -> Tensor:
        """Scalar; nothing of it goes to the teachers."""
        raise NotImplementedError

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor | None:
        """How much the samples of these regions count in the mean that `forward` takes, before any network has run.

        None: as many as they are. So it is too with losses that compare samples, which are no mean over them.

        Args:
            graph: Regions that both networks are given.
            lesions: bool (N,), node slots that are lesions.
        """
        return None
