"""Noise power spectrum of filtered back-projection.

Noise of variance σ_θ²(u) in the rays, ramp-filtered with kernel H and back-projected, has at x the local spectrum
S(ρ, θ; x) = (π d / V) ρ H²(ρ) σ_θ²(x·θ) (d ray pitch, V views over π; after Kak & Slaney 1988, Siewerdsen 2002), here
in HU² mm².
"""

from __future__ import annotations

import math

import torch

from .geometry import HU_PER_MU
from .parameters import RAY_PITCH_MM, VIEWS, DoseCalibration


def frequency_grid(size: tuple[int, int], spacing: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """ρ in mm⁻¹ and direction θ in [0, π) of the real FFT of a ``size`` image with ``spacing`` mm, float64."""
    fy = torch.fft.fftfreq(size[0], d=spacing[0], dtype=torch.float64)[:, None]
    fx = torch.fft.rfftfreq(size[1], d=spacing[1], dtype=torch.float64)[None]
    return torch.hypot(fy, fx.expand(size[0], -1)), torch.remainder(torch.atan2(fy, fx), math.pi)


def kernel_ln_h2(rho: torch.Tensor, frequencies: torch.Tensor, ln_h2: torch.Tensor) -> torch.Tensor:
    """ln H² at ρ: linear between equidistant knots; beyond the last with its slope, if that falls."""
    step = frequencies[1] - frequencies[0]
    position = rho / step
    low = position.floor().clamp(0, len(frequencies) - 2).long()
    t = position - low
    slope = ln_h2[low + 1] - ln_h2[low]
    return ln_h2[low] + slope * t.clamp_max(1) + slope.clamp_max(0) * (t - 1).clamp_min(0)


def kernel_h2(rho: torch.Tensor, calibration: DoseCalibration) -> torch.Tensor:
    """H² of a calibration at ρ."""
    knots = torch.tensor(calibration.kernel_frequencies, dtype=rho.dtype)
    return torch.exp(kernel_ln_h2(rho, knots, torch.tensor(calibration.kernel_ln_h2, dtype=rho.dtype)))


def isotropic_nps(rho: torch.Tensor, calibration: DoseCalibration) -> torch.Tensor:
    """NPS₀(ρ) = (1000/μ_w)² (π d / V) ρ H²(ρ), HU² mm² for a ray variance of 1."""
    return ramp_spectrum(rho) * kernel_h2(rho, calibration)


def ramp_spectrum(rho: torch.Tensor) -> torch.Tensor:
    """(1000/μ_w)² (π d / V) ρ, HU² mm²."""
    return HU_PER_MU**2 * (math.pi * RAY_PITCH_MM / VIEWS) * rho


def ram_lak(length: int, pitch: float) -> torch.Tensor:
    """(length // 2 + 1,) band-limited ramp in mm⁻¹ for the real FFT of ``length`` (even) rays ``pitch`` mm apart.

    The transform of the sampled filter (Kak & Slaney 1988, eq. 3.61), not |ρ| itself, which would lose the mean.
    """
    lag = torch.arange(-(length // 2), length // 2, dtype=torch.float64)
    kernel = torch.where(lag.remainder(2) == 1, -1 / (math.pi * lag) ** 2, torch.zeros_like(lag))
    kernel[length // 2] = 0.25
    return torch.fft.rfft(torch.fft.ifftshift(kernel)).real / pitch


def over_angles(values: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """(..., n) values at n equidistant angles of period π, interpolated linearly at directions θ: (..., *θ.shape)."""
    nodes = values.shape[-1]
    position = theta * (nodes / math.pi)
    low = position.floor().long()
    t = (position - low).to(values)
    return values[..., low % nodes] * (1 - t) + values[..., (low + 1) % nodes] * t


def refine_angles(values: torch.Tensor) -> torch.Tensor:
    """(..., n) values of period π at eight times as many angles, by their Fourier series.

    Their mean square is kept, which linear interpolation between peaks a few nodes wide would lower by up to 2 %.
    """
    nodes = 8 * values.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(values), n=nodes) * 8
