"""A parallel beam at full resolution: line integrals of slices and back-projection, one view after another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .geometry import MU_WATER, Canvas, relative_attenuation
from .parameters import RAY_PITCH_MM, VIEWS


@dataclass(frozen=True, eq=False)
class ParallelBeam:
    """`VIEWS` over π of rays `RAY_PITCH_MM` apart through everything that a canvas holds.

    Attributes:
        canvas, device: The slices' geometry, and where the arithmetic runs.
    """

    canvas: Canvas
    device: torch.device

    @property
    def bins(self) -> int:
        """Rays a view, even."""
        return 2 * math.ceil(self.canvas.side * math.sqrt(0.5) / RAY_PITCH_MM)

    @property
    def u(self) -> torch.Tensor:
        """(bins,) detector coordinates in mm from the centre."""
        return (torch.arange(self.bins, device=self.device) - (self.bins - 1) / 2) * RAY_PITCH_MM

    def line_integrals(self, hu: torch.Tensor) -> torch.Tensor:
        """(n, rows, columns) HU → (n, VIEWS, bins) by the method of Joseph (IEEE Trans Med Imaging 1982).

        A ray is sampled where it crosses the rows or, where it runs flat, the columns. Around a crop the assumed
        ellipse of water is added as chords.
        """
        mu, ellipse = relative_attenuation(hu), self.canvas.ellipse
        if ellipse is not None:
            y, x = self._coordinates(0)[:, None], self._coordinates(1)
            mu = mu - ((y / ellipse[0]) ** 2 + (x / ellipse[1]) ** 2 < 1).to(mu)
        turned, u, views = mu.transpose(1, 2).contiguous(), self.u, []
        for cos, sin in _directions():
            steep = abs(cos) >= abs(sin)
            path = self._crossings(mu, u, cos, sin, (0, 1)) if steep else self._crossings(turned, u, sin, cos, (1, 0))
            views.append(path if ellipse is None else path + _chords(u, ellipse, cos, sin))
        return torch.stack(views, dim=1) * MU_WATER

    def back_project(self, rays: torch.Tensor) -> torch.Tensor:
        """Sum over views of (n, VIEWS, bins · f) rays, f samples a bin, interpolated linearly: (n, rows, columns)."""
        y, x = self._coordinates(0)[:, None], self._coordinates(1)
        # Coordinates of grid_sample run from −1 to 1 between the outermost samples' outer edges; sample 0 lies at u[0].
        scale, shift = 2 / (self.bins * RAY_PITCH_MM), 1 / rays.shape[2] - 1 / self.bins
        total = torch.zeros(len(rays), *self.canvas.shape, device=self.device)
        for view, (cos, sin) in enumerate(_directions()):
            at = (x * cos + y * sin) * scale + shift
            total += _sample(rays[:, view, None], at, torch.zeros_like(at))
        return total

    def _coordinates(self, axis: int) -> torch.Tensor:
        return self.canvas.coordinates(axis).to(self.device, torch.float32)

    def _crossings(
        self, mu: torch.Tensor, u: torch.Tensor, cos: float, sin: float, axes: tuple[int, int]
    ) -> torch.Tensor:
        """(n, bins) integrals of mu, whose last two axes are the slices' ``axes``, along rays nearest to the first."""
        height, width = (self.canvas.shape[a] * self.canvas.spacing[a] for a in axes)
        along = self._coordinates(axes[0])[:, None]
        across = (u - along * sin) / cos
        samples = _sample(mu, across * (2 / width), (along * (2 / height)).expand_as(across))
        return samples.sum(1) * (self.canvas.spacing[axes[0]] / abs(cos))


def _directions() -> Iterator[tuple[float, float]]:
    """cos θ and sin θ of every view; a point (y, x) projects to u = x cos θ + y sin θ."""
    for view in range(VIEWS):
        theta = view * math.pi / VIEWS
        yield math.cos(theta), math.sin(theta)


def _chords(u: torch.Tensor, ellipse: tuple[float, float], cos: float, sin: float) -> torch.Tensor:
    """Lengths in mm of the rays of one view within a centred ellipse of semi-axes (y, x)."""
    reach = (ellipse[1] * cos) ** 2 + (ellipse[0] * sin) ** 2
    return 2 * ellipse[0] * ellipse[1] / reach * (reach - u**2).clamp_min(0).sqrt()


def _sample(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n, h, w) images at coordinates (rows, columns) from −1 to 1, bilinearly, 0 outside: (n, rows, columns)."""
    grid = torch.stack([x, y], dim=-1)[None]
    return torch.nn.functional.grid_sample(images[None], grid, padding_mode="zeros", align_corners=False)[0]
