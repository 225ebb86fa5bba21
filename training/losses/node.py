"""Distillation of node features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from reactkd_auto.training.losses.masked import masked_mean

DECAY = 0.99
SMALLEST_SD = 1e-3


class NodeProjection(nn.Module):
    """W of METHOD.md section 3 (student width -> teacher width), and μ, σ of the teacher's node features.

    μ and σ are exponential running statistics with bias correction (as Adam's moments), so that they are right from
    the first batch; they are buffers, hence saved and resumed with the student.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(student_width, teacher_width)
        self.weight: Tensor
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("first", torch.zeros(teacher_width))
        self.register_buffer("second", torch.zeros(teacher_width))

    @torch.no_grad()
    def observe(self, features: Tensor, mask: Tensor) -> None:
        """Take the valid nodes (mask (B, N)) of teacher features (B, N, D) into the running statistics."""
        x, m = features.float(), mask[..., None].float()
        share = m.sum().clamp(max=1.0) * (1 - DECAY)  # a batch without nodes changes nothing
        count = m.sum().clamp(min=1.0)
        observed = (
            (self.weight, torch.ones_like(self.weight)),
            (self.first, (x * m).sum((0, 1)) / count),
            (self.second, (x * x * m).sum((0, 1)) / count),
        )
        for buffer, value in observed:
            buffer.mul_(1 - share).add_(share * value)

    def standardise(self, features: Tensor) -> Tensor:
        """(h_T − μ) / σ."""
        weight = self.weight.clamp(min=torch.finfo(torch.float32).tiny)
        mean = self.first / weight
        sd = (self.second / weight - mean**2).clamp(min=0).sqrt().clamp(min=SMALLEST_SD)
        return (features.detach().float() - mean) / sd

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
