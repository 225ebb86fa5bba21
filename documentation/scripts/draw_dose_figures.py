"""Draw the figures of documentation/dose-degradation.md and print its table, from the engines and a full simulation.

    python documentation/scripts/draw_dose_figures.py documentation/pictures/dose

The simulation is that of the tests (tests/dose/full_simulation.py); 24 realisations take about a quarter of an hour on
one core. Beside it stands the SD that variances of rays propagate to, which needs no realisation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

mpl.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from reactkd_auto.dose.counts import count_table, linear_variance
from tests.dose.full_simulation import (
    DIRECTIONS,
    acquire,
    angular_error,
    directional,
    power,
    radial,
    radial_error,
    sd_ratio,
)
from tests.dose.scanner import exact_moments
from tests.dose.scenes import PIXEL, SCENES, Scene, counted, drawn, simulated

ROWS = (
    ("water", 0.1),
    ("abdomen", 0.1),
    ("abdomen", 0.05),
    ("hips", 0.1),
    ("hips", 0.05),
    ("shoulders", 0.1),
    ("shoulders", 0.05),
)
ELECTRONIC_NOISE = 5.0
COLOURS = {"full simulation": "black", "fft": "tab:blue", "fbp": "tab:orange", "isotropic": "tab:gray"}
POOL = 8


def main() -> None:
    """Draw everything into the folder given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where the figures and numbers.json go")
    parser.add_argument("--realisations", type=int, default=24, help="simulated acquisitions of each scene (24)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "dose", "svg.fonttype": "none", "axes.grid": True})
    plt.rcParams.update({"grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False})
    draw_count_statistics(arguments.folder / "count-statistics.svg")
    draw_dose_law(arguments.folder / "dose-law.svg")
    draw_sd_map(arguments.folder / "sd-map.png", arguments.realisations)
    rows = draw_spectra_and_measure(arguments.folder / "noise-power-spectra.svg", arguments.realisations)
    (arguments.folder / "numbers.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def draw_count_statistics(path: Path) -> None:
    """Variance and bias of one log reading: table, linear formula, Monte Carlo of a million readings a point."""
    table = count_table(ELECTRONIC_NOISE)
    counts = torch.logspace(-0.3, 4, 120, dtype=torch.float64)
    exact, linear = table.variance(counts).sqrt(), linear_variance(counts, ELECTRONIC_NOISE).sqrt()
    rng, points = np.random.default_rng(0), np.geomspace(1, 3000, 12)
    drawn_sd, drawn_bias = [], []
    for mean in points:
        signal = rng.poisson(mean, 1_000_000) + ELECTRONIC_NOISE * rng.standard_normal(1_000_000)
        y = -np.log(np.maximum(signal, 1) / mean)
        drawn_sd.append(y.std())
        drawn_bias.append(y.mean())
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.loglog(counts, exact, color=COLOURS["fft"], label="exact (table)")
    left.loglog(counts, linear, "--", color=COLOURS["isotropic"], label="linear, √(1/N + σₑ²/N²)")
    left.loglog(points, drawn_sd, "o", ms=4, mfc="none", color="black", label="Monte Carlo, 10⁶ readings")
    left.set(xlabel="expected counts N of a reading", ylabel="SD of the log reading", ylim=(0.01, 5))
    left.legend(frameon=False)
    right.semilogx(counts, table.log_bias(counts), color=COLOURS["fft"])
    right.semilogx(points, drawn_bias, "o", ms=4, mfc="none", color="black")
    right.set(xlabel="expected counts N of a reading", ylabel="bias of the log reading")
    _save(figure, path)


def draw_dose_law(path: Path) -> None:
    """Added SD over SD at full dose against the dose fraction, for several counts."""
    table = count_table(ELECTRONIC_NOISE)
    doses = np.geomspace(0.02, 0.98, 50)
    figure, axes = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    axes.loglog(doses, np.sqrt(1 / doses - 1), color="black", label="quantum law √(1/a − 1)")
    for counts, shade in ((3000.0, 0.9), (1000.0, 0.7), (300.0, 0.5)):
        mean = torch.tensor(counts, dtype=torch.float64)
        ratio = [(table.added_variance(mean, a) / table.variance(mean)).sqrt().item() for a in doses]
        axes.loglog(doses, ratio, color=plt.get_cmap("Blues")(shade), label=f"table, N = {counts:g}")
    axes.set(xlabel="dose fraction a", ylabel="added SD / SD at full dose")
    axes.legend(frameon=False)
    _save(figure, path)


def draw_sd_map(path: Path, realisations: int) -> None:
    """Hips at 5 %: SD of simulated scans beside the closed-form map of scan and added noise."""
    scene, dose = SCENES["hips"], 0.05
    t = (np.arange(scene.size) - (scene.size - 1) / 2) * PIXEL
    points = np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2)
    rng = np.random.default_rng(7)
    images = acquire(
        scene.scanner, scene.phantom, [1.0, dose], points=points, realisations=realisations, rng=rng
    ).reshape(2, realisations, scene.size, scene.size)
    full, low = (_pooled(i.var(axis=0, ddof=1)) for i in images)
    measured = np.sqrt(low - full)
    predicted = np.sqrt(_pooled(scene.fft(dose).added_sd(range(1), [dose])[0, 0].double().square().numpy()))
    inside = _pooled(scene.image[0]) > -500
    extent = (t[0], t[-1], t[-1], t[0])
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained", width_ratios=(1, 1, 1.1))
    for panel, values, title in zip(axes, (measured, predicted), ("full simulation", "closed form"), strict=False):
        shown = panel.imshow(np.where(inside, values, np.nan), extent=extent, vmin=0, vmax=200, cmap="viridis")
        panel.set(title=f"added SD, {title}", xlabel="x, mm", ylim=(120, -120))
        panel.grid(visible=False)
    figure.colorbar(shown, ax=axes[1], label="HU", shrink=0.8)
    centres = t.reshape(-1, POOL).mean(1)
    for row, style in ((len(centres) // 2, "-"), (len(centres) // 2 - 8, "--")):
        for values, colour, mark in ((predicted, COLOURS["fft"], style), (measured, "black", ".")):
            axes[2].plot(centres[inside[row]], values[row][inside[row]], mark, color=colour, ms=4)
        axes[2].text(0, predicted[row][inside[row]].max() + 18, f"y = {round(centres[row])} mm", ha="center")
    axes[2].set(xlabel="x, mm", ylabel="added SD, HU", title=f"points: {realisations} simulated pairs", ylim=(0, 200))
    _save(figure, path, dpi=110)


def draw_spectra_and_measure(path: Path, realisations: int) -> list[dict[str, Any]]:
    """Noise power spectra of water at 10 % and hips at 5 %; how far both engines are from the simulation everywhere."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.6), layout="constrained")
    rows = []
    for name, dose in ROWS:
        scene = SCENES[name]
        full, low, again = simulated(name, dose, realisations)
        sets = {
            "full simulation": low,
            "fft": full + drawn(scene, scene.fft(dose), dose, realisations),
            "fbp": full + counted(scene, scene.fbp(dose), dose, realisations),
        }
        rows.append(_measured(name, dose, sets, full, again))
        print(json.dumps(rows[-1]), flush=True)  # noqa: T201
        if (name, dose) in {("water", 0.1), ("hips", 0.05)}:
            flat = full + drawn(scene, scene.fft(dose, largest_rank=1), dose, realisations)
            _draw_spectra(axes[int(name == "hips")], f"{name}, {100 * dose:g} %", {**sets, "isotropic": flat})
    axes[0, 0].legend(frameon=False)
    _save(figure, path)
    return rows


def _measured(
    name: str, dose: float, sets: dict[str, np.ndarray], full: np.ndarray, again: np.ndarray
) -> dict[str, Any]:
    low = sets["full simulation"]
    row: dict[str, Any] = {
        "scene": name,
        "dose": dose,
        "realisations": len(low),
        "sd_hu": round(float(low.std(0).mean()), 1),
        "sd_ratio_floor": round(sd_ratio(again, low)[0], 4),
        "sd_ratio_exact_fft": round(_exact_ratio(SCENES[name], dose), 4),
        "radial_floor": round(radial_error(again, low, PIXEL), 3),
        "angular_floor": round(angular_error(again, low, PIXEL), 3),
        "bias_hu_first_window": round(float((0.5 * (low + again) - full).mean(axis=(0, 2, 3))[0]), 2),
        "bias_hu_first_window_se": round(float((low - full)[:, 0].mean((1, 2)).std() / len(low) ** 0.5), 2),
    }
    shift = SCENES[name].fft(dose).bias(range(1), [dose])[:, 0].numpy()
    row["bias_hu_first_window_fft"] = round(float(SCENES[name].windows.cut(shift)[0, 0].mean()), 2)
    for engine in ("fft", "fbp"):
        ours = sets[engine]
        truths = (low, again)
        row[engine] = {
            "sd_ratio": round(float(np.mean([sd_ratio(ours, t)[0] for t in truths])), 4),
            "radial": round(float(np.mean([radial_error(ours, t, PIXEL) for t in truths])), 3),
            "angular": round(float(np.mean([angular_error(ours, t, PIXEL) for t in truths])), 3),
        }
    return row


def _exact_ratio(scene: Scene, dose: float) -> float:
    """Median over the windows of the closed form's SD at low dose over that of exact propagation of variance."""
    counts = scene.scanner.counts(scene.phantom)
    low, full = (
        scene.scanner.back_project(
            exact_moments(counts * a, ELECTRONIC_NOISE)[0] / scene.readings, scene.windows.points, squared=True
        )
        for a in (dose, 1.0)
    )
    added = scene.windows.cut(scene.fft(dose).added_sd(range(1), [dose])[:, 0].double().numpy())[0].ravel()
    return float(np.median(np.sqrt((full + added**2) / low)))


def _draw_spectra(axes: np.ndarray, title: str, sets: dict[str, np.ndarray]) -> None:
    """Radial (left) and directional (right) spectra of the central window."""
    for label, images in sets.items():
        spectra = power(images[:, :1])
        style = {"color": COLOURS[label], "label": label, "lw": 1.2}
        if label == "full simulation":
            style |= {"marker": "o", "ms": 3.5, "mfc": "none", "lw": 0.6}
        elif label == "isotropic":  # without direction, as the others in water: below them, and still seen
            style |= {"ls": "--", "zorder": 1, "lw": 2.4}
        values = radial(spectra, PIXEL)[0]
        frequency = (np.arange(len(values)) + 0.5) * 2 / (images.shape[-1] * PIXEL)
        axes[0].plot(frequency, values / values.sum(), **style)
        axes[1].semilogy(np.arange(DIRECTIONS) * 180 / DIRECTIONS, directional(spectra, PIXEL)[0], **style)
    axes[0].set(title=f"{title}: radial", xlabel="frequency, mm⁻¹", ylabel="share of NPS")
    axes[1].set(title=f"{title}: directional", xlabel="direction of the frequency, degrees", ylabel="share of power")
    axes[1].set(ylim=(1e-3, 0.5), xticks=range(0, 181, 45))


def _pooled(image: np.ndarray) -> np.ndarray:
    return image.reshape(image.shape[0] // POOL, POOL, -1, POOL).mean(axis=(1, 3))


def _save(figure: plt.Figure, path: Path, **options: float) -> None:
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, **options)
    plt.close(figure)


if __name__ == "__main__":
    main()
