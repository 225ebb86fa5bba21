"""Curves of a degraded CT: noise power spectra, measured against the model, and what the calibration found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch

from reactkd_auto.dose.nps import kernel_h2
from reactkd_auto.dose.patches import find_patches
from reactkd_auto.dose.volumes import AxialStack
from reactkd_auto.drawing.style import FAINT, INK, STYLE
from reactkd_auto.jsonio import atomic_path
from reactkd_auto.planning.degrade.measures import SliceNoise
from reactkd_auto.planning.degrade.pictures import DOSE_COLOURS, per_cent
from reactkd_auto.planning.degrade.regions import NAMES
from reactkd_auto.planning.degrade.results import SpectrumAgreement
from reactkd_auto.planning.degrade.spectra import Spectrum, modelled_spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OWN_SLICES = 6
_OWN_PATCHES = 120
_HIGHEST = 1.0
_FLUX_UNIT = 1e5
_WIDTH = 11.6


def draw_spectra(path: Path, noise: SliceNoise, agreements: Sequence[SpectrumAgreement]) -> None:
    """SVG: radial noise power at every dose in the central region; power by direction at the lowest dose in the central
    region and in the one where directions differ most.
    """
    directional = list(dict.fromkeys([0, int(np.argmax([a.anisotropy for a in agreements]))]))
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure(3.7, 1 + len(directional))
        _radial(axes[0], noise)
        for place, region in zip(axes[1:], directional, strict=True):
            _directional(place, noise, region)
        _save_svg(figure, path)


def draw_calibration(path: Path, noise: SliceNoise, stack: AxialStack) -> None:
    """SVG: the CT's own noise power against the calibration, the kernel's transfer, the flux along the slices."""
    with mpl.rc_context(STYLE):
        figure, (own, kernel, flux) = _new_figure(3.3, 3)
        _own_noise(own, noise, stack)
        calibration = noise.model.rays.calibration
        rho = torch.linspace(0, _HIGHEST, 201, dtype=torch.float64)
        kernel.plot(rho, kernel_h2(rho, calibration).sqrt(), color=DOSE_COLOURS[0], linewidth=2)
        kernel.set(xlabel="spatial frequency (mm⁻¹)", xlim=(0, _HIGHEST), ylim=(0, None))
        kernel.set_title("reconstruction kernel over the ramp")
        values = np.asarray(calibration.flux) / _FLUX_UNIT
        depth = len(stack.array)
        flux.plot(np.arange(depth), np.broadcast_to(values if len(values) == depth else values[:1], depth), linewidth=2)
        flux.set(xlabel="axial slice", ylim=(0, 1.15 * values.max()), xlim=(0, max(1, depth - 1)))
        flux.set_title("flux N₀, 10⁵ counts of a central ray in air")
        for axes in (kernel, flux):
            axes.grid(color="#EEEEEE")
        _save_svg(figure, path)


def _radial(axes: Axes, noise: SliceNoise) -> None:
    for i, dose in enumerate(noise.doses):
        rho, measured, model = noise.spectrum(0, dose).radial()
        colour = DOSE_COLOURS[i % len(DOSE_COLOURS)]
        axes.plot(rho, model, color=colour, linewidth=1.6)
        axes.plot(rho, measured, "o", color=colour, markersize=3.8, label=per_cent(dose))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    low, high = axes.get_ylim()
    axes.set(xlabel="spatial frequency (mm⁻¹)", ylabel="noise power (HU² mm²)", ylim=(max(low, high * 1e-6), high))
    axes.set_title(f"radial, region {NAMES[0]}")
    axes.grid(color="#EEEEEE")
    axes.legend(title="dots: measured, lines: model", ncols=2, loc="lower left", title_fontsize=9)


def _directional(axes: Axes, noise: SliceNoise, region: int) -> None:
    dose = noise.doses[-1]
    degrees, measured, model = noise.spectrum(region, dose).directional()
    around = np.r_[degrees, degrees[0] + 180]
    axes.plot(around, np.r_[model, model[0]], color=DOSE_COLOURS[3], linewidth=1.8, label="model")
    axes.plot(around, np.r_[measured, measured[0]], "o", color=INK, markersize=4.5, label="measured")
    axes.axhline(1, color="#999999", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set(
        xlabel="direction of the frequency (°)",
        ylim=(0, 1.25 * float(max(model.max(), measured.max()))),
        xlim=(-6, 186),
    )
    axes.set_xticks(range(0, 181, 45))
    axes.set_title(f"by direction, region {NAMES[region]}, {per_cent(dose)} dose")
    axes.grid(color="#EEEEEE")
    axes.legend(loc="upper right", ncols=2)


def _own_noise(axes: Axes, noise: SliceNoise, stack: AxialStack) -> None:
    spectrum = own_spectrum(noise, stack)
    axes.set_title("the CT's own noise power")
    if spectrum is None:
        axes.text(0.5, 0.5, "no homogeneous soft tissue", color=FAINT, ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    rho, measured, model = spectrum.radial()
    axes.plot(rho, model, color=DOSE_COLOURS[0], linewidth=1.8, label="calibration")
    axes.plot(rho, measured, "o", color=INK, markersize=4, label="soft tissue, with its anatomy")
    axes.set(xlabel="spatial frequency (mm⁻¹)", ylabel="HU² mm²", ylim=(0, 1.5 * float(np.max(model))))
    axes.grid(color="#EEEEEE")
    axes.legend(loc="lower left")


def own_spectrum(noise: SliceNoise, stack: AxialStack) -> Spectrum | None:
    """Noise power of soft tissue at full dose, and the calibration's spectrum there; None without soft tissue.

    Each patch is divided by its own model. The median over patches, over ln 2 (the median of the exponential
    distribution that periodograms of noise have), leaves structure out.
    """
    chosen = np.unique(np.linspace(0, len(stack.array) - 1, _OWN_SLICES).round().astype(int)).tolist()
    patches = find_patches(stack.array, stack.spacing, chosen, most=_OWN_PATCHES)
    if not len(patches):
        return None
    sigma = {int(z): noise.ray_sd(int(z), 1.0) for z in np.unique(patches.slices)}
    corners = [(int(r), int(c)) for r, c in patches.corners]
    rays = noise.model.rays
    models = torch.stack(
        [modelled_spectrum(rays, sigma[int(z)], [c]) for z, c in zip(patches.slices, corners, strict=True)]
    )
    ratio = (patches.periodograms.double() / models.clamp_min(1e-12)).median(0).values / math.log(2)
    mean = models.mean(0)
    return Spectrum((ratio * mean).numpy(), mean.numpy(), rays.canvas.spacing)


def _new_figure(height: float, columns: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.subplots(1, columns)
    figure.subplots_adjust(0.85 / _WIDTH, 0.5 / height, 1 - 0.1 / _WIDTH, 1 - 0.3 / height, 0.25)
    return figure, list(np.atleast_1d(axes))


def _save_svg(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
