"""Cross-image relations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.networks.precision import full_precision
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson
from reactkd_auto.training.losses.masked import masked_mean

CONTRAST_TEMPERATURE = 0.1


def cross_image_relations(student: Tensor, teacher: Tensor, measured: Tensor) -> Tensor:
    """Mean over images i, j and voxels a of i of KL(σ(T_ij[a]/τ) ‖ σ(S_ij[a]/τ)), S_ij: cosines of i's and j's voxels.

    The mini-batch pixel-to-pixel term of Yang et al. 2022, arXiv 2204.06986, τ = 0.1. Its queues of pixels and
    regions of earlier batches are left out, hence only "like" the paper.

    Args:
        student, teacher: (B, E, z, y, x) maps; no gradient goes to the teacher. Widths may differ.
        measured: (B, 1, z, y, x) share of each voxel that was measured; others relate to nothing.
    """
    batch, valid = len(student), measured.flatten(1) > 0
    voxels = valid.shape[1]
    with full_precision(student):
        logs = []
        for f in (student, teacher.detach()):
            unit = functional.normalize(f.float().flatten(2).transpose(1, 2).flatten(0, 1), dim=1, eps=1e-6)
            relations = (unit @ unit.T / CONTRAST_TEMPERATURE).view(batch, voxels, batch, voxels)
            # Far below any cosine, but finite: rows of an image without a valid voxel stay numbers.
            logs.append(relations.masked_fill(~valid[None, None], -1e4).log_softmax(-1))
        divergence = (logs[1].exp() * (logs[1] - logs[0])).sum(-1)
        pairs = valid[:, :, None] & valid.any(1)[None, None, :]
        return masked_mean(divergence, pairs.to(torch.float32))


class CrossImageRelations(DistillationLoss):
    """`cross_image_relations` of the deepest map, whose voxels are few enough to compare all with all."""

    def forward(self, lesson: Lesson) -> Tensor:
        """See `cross_image_relations`."""
        return cross_image_relations(lesson.student.maps[-1], lesson.teacher.maps[-1], lesson.measured[-1])
