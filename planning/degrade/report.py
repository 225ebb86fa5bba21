"""`report.html`: one file that opens from disk, without a network, and shows what was done to every CT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from reactkd_auto.dose import DoseCalibration
from reactkd_auto.dose.nps import kernel_h2
from reactkd_auto.jsonio import write_text
from reactkd_auto.pages import data_url, render
from reactkd_auto.planning.degrade.measures import SMOOTHING_MM
from reactkd_auto.planning.degrade.options import Options
from reactkd_auto.planning.degrade.results import CtResult, Picture, picture_path

EMBEDDED_CTS = 20
"""Pictures of more CTs are linked instead of embedded: a page of hundreds of megabytes opens nowhere."""
TEMPLATE = Path(__file__).parent / "templates" / "report.html"


def write_report(output: Path, results: Sequence[CtResult], options: Options) -> Path:
    """Write ``output/report.html`` from the results and the pictures in ``output/pictures``."""
    done = [r for r in results if r.status == "degraded"]
    page = render(
        TEMPLATE,
        results=results,
        done=done,
        options=options,
        calibrations={r.case: describe_calibration(r.calibration) for r in done if r.calibration},
        pictures={r.case: _pictures(output, r.case, embed=len(done) <= EMBEDDED_CTS) for r in done},
        smoothing=SMOOTHING_MM,
    )
    path = output / "report.html"
    write_text(path, page)
    return path


def describe_calibration(calibration: DoseCalibration) -> list[tuple[str, str, str]]:
    """(what, value, meaning) rows of the page's table."""
    flux = np.asarray(calibration.flux)
    spread = f" ({_round(flux.min())}…{_round(flux.max())} along the slices)" if len(flux) > 1 else ""
    taps = np.asarray(calibration.z_taps)
    correlation = float((taps[1:] * taps[:-1]).sum())
    rows = [
        ("confidence", f"{calibration.confidence:.2f}", f"0 preset … 1; {calibration.patches} soft-tissue patches"),
        (
            "flux N₀",
            f"{_round(np.median(flux))}{spread}",
            "counts of a central ray in air, 1000 views over 180°, 0.6 mm wide",
        ),
        ("kernel", f"{_half(calibration):.2f} mm⁻¹", "frequency at which the kernel falls to half the ramp"),
        ("bowtie filter B", f"{calibration.bowtie:.2f}", "exp(−B (u / 150 mm)²) at distance u from the centre"),
        (
            "tube-current modulation κ",
            f"{calibration.tube_modulation:.2f}",
            "current ∝ exp(κ · longest path of the view)",
        ),
        ("correlation of neighbouring slices", f"{correlation:.2f}", "of the noise"),
        ("readings per ray", f"{calibration.readings}", "assumed; matters near photon starvation only"),
        ("electronic noise", f"{calibration.electronic_noise:g} counts", "of one reading, assumed; as above"),
    ]
    if calibration.ellipse_mm:
        y, x = (2 * a for a in calibration.ellipse_mm)
        rows.append(("body outside the crop", f"{y:.0f} × {x:.0f} mm", "ellipse of water, assumed"))
    return rows


def _round(counts: float) -> str:
    """604321.0 → ``604,000``."""
    return f"{float(f'{counts:.3g}'):,.0f}"


def _half(calibration: DoseCalibration) -> float:
    """Frequency in mm⁻¹ at which the kernel over the ramp falls to one half."""
    rho = torch.linspace(0, 2, 2001, dtype=torch.float64)
    below = (kernel_h2(rho, calibration).sqrt() < 0.5).nonzero()
    return float(rho[below[0, 0]]) if len(below) else float(rho[-1])


def _pictures(output: Path, case: str, *, embed: bool) -> dict[str, str]:
    """Data URLs, or relative links, of the pictures that there are."""
    paths = {name: picture_path(output, case, name) for name in get_args(Picture)}
    return {n: data_url(p) if embed else p.relative_to(output).as_posix() for n, p in paths.items() if p.is_file()}
