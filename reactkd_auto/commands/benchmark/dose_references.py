"""What dose degradation is measured against: forward projection, count noise and filtered back-projection.

Each slice is projected at full resolution, the counts of the lower dose are drawn, and the noise of the logarithm is
reconstructed and added, as published insertions do.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dose.geometry import MU_WATER

logger = logging.getLogger(__name__)

_FLUX = 2e5
_ELECTRONIC_NOISE = 5.0


class Tomography(Protocol):
    """A projector of square slices and its filtered back-projection."""

    def project(self, slice_: NDArray[np.float32]) -> NDArray[np.float32]:
        """Line integrals in pixels."""
        ...

    def reconstruct(self, rays: NDArray[np.float32]) -> NDArray[np.float32]:
        """The slice of such line integrals, Hann window."""
        ...


@dataclass(frozen=True)
class Insertion:
    """Noise insertion with one of the libraries; `prepare` gives the work.

    Attributes:
        library: ``scikit-image`` or ``ASTRA``.
        hu: (rows, columns) of one slice, padded to a square here.
        pixel: mm.
        views: Projections over π.
        doses: Fractions; they share the forward projection.
        seed: Of the counts.
    """

    library: str
    hu: NDArray[np.float32]
    pixel: float
    views: int
    doses: tuple[float, ...]
    seed: int

    def prepare(self) -> Any:
        """A function that returns the low-dose slices."""
        size = max(self.hu.shape)
        mu = np.pad((self.hu / 1000 + 1).clip(0) * MU_WATER * self.pixel, [(0, size - n) for n in self.hu.shape])
        distance = np.arange(size) - (size - 1) / 2
        mu[np.hypot(distance[:, None], distance[None]) > size / 2 - 1] = 0
        tomography = _LIBRARIES[self.library](size, self.views)
        rng = np.random.default_rng(self.seed)
        return lambda: [mu + n for n in self._noise(mu.astype(np.float32), tomography, rng)]

    def _noise(
        self, mu: NDArray[np.float32], tomography: Tomography, rng: np.random.Generator
    ) -> list[NDArray[np.float32]]:
        path = tomography.project(mu)
        noise = []
        for dose in self.doses:
            counts = dose * _FLUX * np.exp(-path)
            signal = rng.poisson(counts) + _ELECTRONIC_NOISE * rng.standard_normal(counts.shape, dtype=np.float32)
            error = -np.log(np.maximum(signal, 1) / (dose * _FLUX)) - path
            noise.append(tomography.reconstruct(error.astype(np.float32)))
        return noise


def installed_libraries() -> list[str]:
    """scikit-image, and ASTRA (GPL; never a dependency) where somebody installed it; the one to compare with last."""
    return ["scikit-image", *(["ASTRA"] if _astra_loads() else [])]


def _astra_loads() -> bool:
    """Whether ASTRA is there and finds the libraries that it needs (CUDA's, even for its CPU projectors)."""
    try:
        import astra
    except ModuleNotFoundError:
        return False
    except ImportError as error:
        logger.warning("ASTRA is installed and cannot be loaded, so it is left out: %s", error)
        return False
    return hasattr(astra, "create_projector")  # a mere folder of that name can be imported, too


class _ScikitImage:
    def __init__(self, size: int, views: int) -> None:
        self.degrees = np.arange(views) * 180.0 / views
        self.size = size

    def project(self, slice_: NDArray[np.float32]) -> NDArray[np.float32]:
        from skimage.transform import radon

        return np.asarray(radon(slice_, self.degrees, circle=True), dtype=np.float32)

    def reconstruct(self, rays: NDArray[np.float32]) -> NDArray[np.float32]:
        from skimage.transform import iradon

        image = iradon(rays, self.degrees, output_size=self.size, filter_name="hann", circle=True)
        return np.asarray(image, dtype=np.float32)


class _Astra:
    """ASTRA on the processor, with the fastest of its projectors."""

    def __init__(self, size: int, views: int) -> None:
        import astra

        self.astra = astra
        self.slices = astra.create_vol_geom(size, size)
        angles = np.arange(views) * math.pi / views
        self.rays = astra.create_proj_geom("parallel", 1.0, size, angles)
        self.projector = astra.create_projector("line", self.rays, self.slices)

    def project(self, slice_: NDArray[np.float32]) -> NDArray[np.float32]:
        identity, rays = self.astra.create_sino(slice_, self.projector)
        self.astra.data2d.delete(identity)
        return np.asarray(rays)

    def reconstruct(self, rays: NDArray[np.float32]) -> NDArray[np.float32]:
        data = self.astra.data2d
        source, target = data.create("-sino", self.rays, rays), data.create("-vol", self.slices)
        settings = self.astra.astra_dict("FBP")
        settings["ProjectorId"] = self.projector
        settings["ProjectionDataId"], settings["ReconstructionDataId"] = source, target
        settings["option"] = {"FilterType": "hann"}
        algorithm = self.astra.algorithm.create(settings)
        self.astra.algorithm.run(algorithm)
        image = data.get(target)
        self.astra.algorithm.delete(algorithm)
        data.delete([source, target])
        return np.asarray(image)


_LIBRARIES: dict[str, Any] = {"scikit-image": _ScikitImage, "ASTRA": _Astra}
