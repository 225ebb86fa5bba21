"""The few directions in which the noise of a whole stack varies: a low-rank basis in angle."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .geometry import ANGLES, GRID, MU_WATER, angles, sample_rays

LARGEST_RANK = 24
ANGULAR_RESIDUAL = 0.05
_POINTS_A_SLICE = 400


def angular_profiles(sigma: torch.Tensor, coarse: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    """σ_θ(x·θ) at a regular subset of the body's pixels of one slice, unit norm each: (points, ANGLES).

    Args:
        sigma: (ANGLES, BINS) of one slice.
        coarse: (GRID, GRID) attenuation of the slice.
        used: (GRID, GRID) bool, where the image lies.
    """
    body = (used & (coarse > 0.3 * MU_WATER)).nonzero()
    points = body if len(body) >= 50 else used.nonzero()
    points = points[:: max(1, len(points) // _POINTS_A_SLICE)]
    offset = points.to(sigma) - (GRID - 1) / 2
    theta = angles(sigma.device).to(sigma)
    u = offset[:, 1:] * torch.cos(theta) + offset[:, :1] * torch.sin(theta)
    profiles = sample_rays(sigma, u)
    return profiles / profiles.norm(dim=1, keepdim=True).clamp_min(1e-12)


def angular_basis(profiles: Iterable[torch.Tensor]) -> torch.Tensor:
    """(ANGLES, r) orthonormal directions, r the smallest with an rms relative residual < `ANGULAR_RESIDUAL`.

    They are the leading eigenvectors of the mean of m mᵀ over the profiles m.
    """
    total = torch.zeros(ANGLES, ANGLES, dtype=torch.float64)
    for m in profiles:
        total += (m.T.double() @ m.double()).cpu()
    values, vectors = torch.linalg.eigh(total)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if float(values.sum()) <= 0:
        return torch.full((ANGLES, 1), ANGLES**-0.5)
    residual = (1 - values.cumsum(0) / values.sum()).clamp_min(0).sqrt()
    rank = min(int((residual >= ANGULAR_RESIDUAL).sum()) + 1, LARGEST_RANK)
    return vectors[:, :rank].float()
