"""Coarse points of a slice where what the rays say is looked up, and the way from there to every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from .geometry import BINS, Canvas, angles

LARGEST_STEP = 16


@dataclass(frozen=True, eq=False)
class Nodes:
    """Points between pixels, about a coarse pixel of the canvas apart, the first above and left of pixel (0, 0).

    Node i of an axis lies at pixel coordinate i · step − ½: between two nodes there are `step` whole pixels, and the
    last node lies at or beyond the slice's end.

    Attributes:
        canvas, device: The slices' geometry, and where the arithmetic runs.
    """

    canvas: Canvas
    device: torch.device

    @cached_property
    def steps(self) -> tuple[int, int]:
        """Pixels from node to node, (y, x)."""
        y, x = (min(max(1, round(self.canvas.pixel / s)), LARGEST_STEP) for s in self.canvas.spacing)
        return y, x

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Nodes along y and x."""
        y, x = (-(-n // step) + 1 for n, step in zip(self.canvas.shape, self.steps, strict=True))
        return y, x

    def coordinates(self, axis: int) -> torch.Tensor:
        """Of the nodes along y (0) or x (1), in coarse pixels from the canvas's centre, float64."""
        n, s = self.canvas.shape[axis], self.canvas.spacing[axis]
        pixel = torch.arange(self.shape[axis], dtype=torch.float64) * self.steps[axis] - 0.5
        return (pixel - (n - 1) / 2) * s / self.canvas.pixel

    def look_up(self, rays: torch.Tensor) -> torch.Tensor:
        """(n, ANGLES, BINS) rays at the nodes, linearly between bins: (n, ANGLES, nodes)."""
        low, share = self._places
        low = low.expand(len(rays), -1, -1)
        return rays.gather(2, low).addcmul_(rays.diff(dim=2).gather(2, low), share)

    def enlarge(self, values: torch.Tensor) -> torch.Tensor:
        """(..., *shape) at the nodes → (..., rows, columns), bilinearly."""
        rows, columns = self.canvas.shape
        return self.fill(values)[..., :rows, :columns]

    def fill(self, values: torch.Tensor) -> torch.Tensor:
        """As `enlarge`, up to the last nodes, at or beyond the slice's end."""
        low, rise = values[..., :-1], values.diff(dim=-1)
        wide = values.new_empty(*low.shape, self.steps[1])
        for i, share in enumerate(_shares(self.steps[1])):
            torch.add(low, rise, alpha=share, out=wide[..., i])
        columns = wide.flatten(-2)
        low, rise = columns[..., :-1, None, :], columns.diff(dim=-2)[..., None, :]
        return torch.addcmul(low, rise, self._shares_down).flatten(-3, -2)

    @cached_property
    def _places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower neighbour among the bins and share of the upper one, each (ANGLES, nodes)."""
        y, x = (self.coordinates(axis) for axis in (0, 1))
        theta = angles()[:, None, None]
        u = (x * torch.cos(theta) + y[:, None] * torch.sin(theta)).flatten(1)
        position = (u + (BINS - 1) / 2).clamp(0, BINS - 1 - 1e-6)
        low = position.floor()
        return low.long().to(self.device), (position - low).float().to(self.device)

    @cached_property
    def _shares_down(self) -> torch.Tensor:
        return torch.tensor(_shares(self.steps[0]), device=self.device)[:, None]


def _shares(step: int) -> list[float]:
    """Weight of the farther node for each pixel between two."""
    return [(i + 0.5) / step for i in range(step)]
