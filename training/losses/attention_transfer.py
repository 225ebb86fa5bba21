"""Attention transfer."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson


def attention_transfer(student: Tensor, teacher: Tensor, measured: Tensor) -> Tensor:
    """½ ‖Q_S/‖Q_S‖ − Q_T/‖Q_T‖‖², Q = Σ_c f_c² over voxels, mean over the batch: 0…1.

    Zagoruyko & Komodakis 2017, arXiv 1612.03928, eq. 2, with the square that the authors' code takes.

    Args:
        student, teacher: (B, E, z, y, x) maps, of any widths; no gradient goes to the teacher.
        measured: (B, 1, z, y, x) share of each voxel that was measured.
    """
    q, r = (
        functional.normalize((f.float().square().sum(1, keepdim=True) * measured).flatten(1), eps=1e-6)
        for f in (student, teacher.detach())
    )
    return 0.5 * (q - r).square().sum(1).mean()


class AttentionTransfer(DistillationLoss):
    """Sum of `attention_transfer` over the map stages."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `attention_transfer`."""
        stages = zip(lesson.student.maps, lesson.teacher.maps, lesson.measured, strict=True)
        losses = [attention_transfer(s, t, w) for s, t, w in stages]
        return sum(losses[1:], losses[0])
