"""Branches (encoder + 1×1×1 projections to one width), and the sum of those that are present."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .encoder import Encoder, group_norm
from .recompute import Thrifty, run


class Branch(Thrifty):
    """An encoder with a projection to the embedding width at each map stage.

    The encoder ends each stage before its activation, so a projection is norm, ReLU, 1×1×1 convolution.

    Args:
        encoder: Image → stage features.
        stages: Indices of the map stages.
        width: E.
    """

    def __init__(self, encoder: Encoder, *, stages: Sequence[int], width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.stages = tuple(stages)
        self.projections = nn.ModuleList(_projection(encoder.channels[stage], width) for stage in self.stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, C, z, y, x] → maps [B, E, z, y, x] of the map stages, finest first."""
        features = self.encoder(image)
        return [
            run(project, features[stage], recompute=self.recompute)
            for stage, project in zip(self.stages, self.projections, strict=True)
        ]


def compile_branches(network: nn.Module) -> None:
    """Let `torch.compile` fuse each branch's operations, in place; weights, names and results (up to rounding) stay.

    Branches are nearly all of the work and have no choices in them; what is read out over regions has.
    """
    for module in network.modules():
        if isinstance(module, Branch):
            module.compile()


def _projection(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(group_norm(channels), nn.ReLU(inplace=True), nn.Conv3d(channels, width, 1))


class MissingToken(nn.Module):
    """A learned embedding in place of a branch where its channel was not measured: absence is not zero tissue.

    Args:
        stages: Number of map stages, one token each.
        width: E.
    """

    def __init__(self, *, stages: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(stages, width) * 0.02)

    def forward(self, maps: Sequence[Tensor] | None, presence: Sequence[Tensor]) -> list[Tensor]:
        """``presence`` · map + (1 − ``presence``) · token, voxel by voxel.

        Args:
            maps: [B, E, z, y, x], one a stage; None where no case of the batch has the channel.
            presence: [B, 1, z, y, x], one a stage, share of the feature voxel where the channel was measured.
        """
        tokens = [t[None, :, None, None, None] for t in self.tokens]
        if maps is None:
            return [(1 - w) * t for w, t in zip(presence, tokens, strict=True)]
        presence = [w.to(m.dtype) for w, m in zip(presence, maps, strict=True)]  # autocast's maps stay half as large
        return [w * m + (1 - w) * t.to(m.dtype) for w, m, t in zip(presence, maps, tokens, strict=True)]


def fuse(branches: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Mean of the branches' maps, stage by stage. Divided by their fixed number, so that subsets keep the scale."""
    return [functools.reduce(operator.add, maps) / len(maps) for maps in zip(*branches, strict=True)]
