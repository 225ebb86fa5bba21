"""CBAM in three dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .pooling import masked_average
from .recompute import Thrifty, run
from .thin_convolution import ThinConv3d


class CBAM3D(Thrifty):
    """Channel, then spatial attention (Woo et al. 2018, arXiv 1807.06521, eq. 1–3) on [B, E, z, y, x].

    Channel: Mc = σ(MLP(avg x) + MLP(max x)); spatial: Ms = σ(conv7([mean_E x', max_E x'])), x' = Mc ⊗ x;
    result Ms ⊗ x'. Averages and maxima over space see measured voxels only, so an image's end is no evidence.

    Args:
        width: E.
        reduction: Width of the channel MLP is E / reduction.
        kernel_size: Of the spatial convolution.
    """

    def __init__(self, width: int, *, reduction: int = 8, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(4, width // reduction)
        self.channel = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.spatial = ThinConv3d(2, kernel_size)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x: [B, E, z, y, x].
            weight: [B, 1, z, y, x] share of each voxel that was measured; None: all.

        Returns:
            The attended map [B, E, z, y, x] and the spatial attention [B, 1, z, y, x] in 0…1.
        """
        return run(self._attend, x, weight, recompute=self.recompute)

    def _attend(self, x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        channel = self.channel(_average(x, weight)) + self.channel(_maximum(x, weight))
        x = x * torch.sigmoid(channel)[:, :, None, None, None]
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        if weight is not None:
            summary = summary * (weight > 0)
        attention = torch.sigmoid(self.spatial(summary))
        return x * attention, attention


def _average(x: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean over space, [B, E]; 0 where nothing was measured."""
    return x.mean(dim=(2, 3, 4)) if weight is None else masked_average(x, weight)[:, 0]


def _maximum(x: Tensor, weight: Tensor | None) -> Tensor:
    """Maximum over measured voxels, [B, E]; 0 where nothing was measured."""
    if weight is None:
        return x.amax(dim=(2, 3, 4))
    lowest = torch.finfo(x.dtype).min
    maximum = x.masked_fill(weight <= 0, lowest).amax(dim=(2, 3, 4))
    return maximum.masked_fill(maximum == lowest, 0.0)
