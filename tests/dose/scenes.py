"""Phantoms as they are scanned in the proof and in its figures, and the noise that the engines add to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.engine import DoseStep
from reactkd_auto.dose.fbp import FbpEngine, fbp_engine
from reactkd_auto.dose.synthesis import NoiseModel, noise_model
from tests.dose import scanner as phantoms
from tests.dose.full_simulation import Windows, acquire
from tests.dose.scanner import SPACING, Ellipse, Scanner, picture

PIXEL = SPACING[1]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Scene:
    """A phantom, the flux and readings a ray that image it, and where in it the noise is looked at (mm)."""

    phantom: tuple[Ellipse, ...]
    flux: float
    centres: tuple[tuple[float, float], ...]
    readings: int = 1
    size: int = 512

    @property
    def scanner(self) -> Scanner:
        return Scanner(self.flux, readings=self.readings)

    @property
    def windows(self) -> Windows:
        return Windows(self.size, PIXEL, self.centres)

    @property
    def image(self) -> np.ndarray:
        """(1, size, size) HU without noise."""
        return picture(self.phantom, self.size, PIXEL)[None]

    def fft(self, dose: float, largest_rank: int | None = None) -> NoiseModel:
        options = {"spacing": SPACING, "doses": [dose], "device": CPU, "largest_rank": largest_rank}
        return noise_model(self.image, self.scanner.calibration(), **options)

    def fbp(self, dose: float) -> FbpEngine:
        return fbp_engine(self.image, self.scanner.calibration(), spacing=SPACING, doses=[dose], device=CPU)


LIMB = (Ellipse((0, 0), (60, 92), 1400), Ellipse((3, -50), (13, 13), 900), Ellipse((3, 50), (13, 13), 900))
SCENES = {
    "water": Scene(phantoms.WATER, 3e5, ((0, 0), (90, 40), (-60, 80), (0, -110))),
    "abdomen": Scene(phantoms.ABDOMEN, 5e5, ((0, 0), (50, 60), (-40, 80), (0, -100)), readings=4),
    "hips": Scene(phantoms.HIPS, 4e5, ((0, 0), (55, 60), (-60, -30), (5, 140))),
    "shoulders": Scene(phantoms.SHOULDERS, 4e5, ((0, 0), (-25, 80), (30, -100), (0, 115))),
    "limb": Scene(LIMB, 1.2e4, ((0, 0), (10, -20)), size=256),
}


@lru_cache(maxsize=3)
def simulated(name: str, dose: float, realisations: int) -> np.ndarray:
    """(3, realisations, windows, side, side) HU: full dose, low dose, low dose again."""
    scene, rng = SCENES[name], np.random.default_rng(20)
    images = acquire(
        scene.scanner,
        scene.phantom,
        [1.0, dose, dose],
        points=scene.windows.points,
        realisations=realisations,
        rng=rng,
    )
    side = scene.windows.side
    return images.reshape(3, realisations, len(scene.centres), side, side)


def drawn(scene: Scene, model: NoiseModel, dose: float, realisations: int) -> np.ndarray:
    """(realisations, windows, side, side) HU that the fft engine adds."""
    streams = [(seed, "") for seed in range(realisations)]
    parts = [noise[:, 0].numpy() for stream in streams for _, noise in added_noise(model, [dose], stream)]
    return np.concatenate([scene.windows.cut(part) for part in parts])


def counted(scene: Scene, engine: FbpEngine, dose: float, realisations: int) -> np.ndarray:
    """(realisations, windows, side, side) HU that the fbp engine adds; the phantom is projected once."""
    counts = engine.counts(range(1))
    steps = [DoseStep(dose, 1.0, key) for key in range(realisations)]
    parts = [engine.reconstruct(engine.ray_noise(counts, range(1), step)).numpy() for step in steps]
    return np.concatenate([scene.windows.cut(part) for part in parts])
