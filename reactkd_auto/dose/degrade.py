"""Low-dose versions of a CT: the image plus the noise that the lower dose would have added."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.errors import UserError

from .engine import DoseStep, NoiseEngine
from .fbp import fbp_engine
from .geometry import PADDING_HU
from .parameters import DoseCalibration
from .random_numbers import stream_key
from .synthesis import noise_model
from .volumes import axial_stack

Engine = Literal["fft", "fbp"]
Coupling = Literal["shared", "nested", "independent"]
SMALLEST_FRACTION = 0.005
_ENGINES = {"fft": noise_model, "fbp": fbp_engine}


def degrade(
    volume: Any,
    fractions: Sequence[float],
    calibration: DoseCalibration,
    seed: int,
    *,
    engine: Engine = "fft",
    spacing: tuple[float, float, float] | None = None,
    coupling: Coupling = "shared",
    bias: bool = False,
    case: str = "",
    device: torch.device | str = "cpu",
) -> list[Any]:
    """Degrade a full-dose CT to each dose fraction.

    Noise is added in the axial planes on the native grid; mean HU, resolution and the noise already there stay. The
    same seed and case give the same result whatever the chunks. Padding (≤ −1024 HU) and NaN are untouched, integer
    types are rounded and clipped to their range, and a fraction of 1 returns the input bit for bit.

    Args:
        volume: SimpleITK image of HU, or (z, y, x) array with ``spacing``.
        fractions: Dose fractions in (0.005, 1].
        calibration: From `calibrate`.
        seed: Of the random numbers.
        engine: ``fft`` synthesises the noise in the image; ``fbp``, about a hundred times slower, counts photons ray by
            ray and back-projects them, for those who doubt the other; their statistics agree.
        spacing: (z, y, x) mm of an array.
        coupling: Of the noise of several fractions: ``shared`` (the same white noise, scaled), ``nested`` (lower doses
            add to the noise of higher ones, as thinning of the counts does) or ``independent``.
        bias: Add the mean shift of starved rays, which clinical scanners correct.
        case: Name that, with the seed, picks the random numbers.
        device: Where to compute.

    Returns:
        One volume a fraction, of the kind and dtype that came in.

    Raises:
        UserError: Not a 3D CT in HU, a fraction out of range, or an unknown engine or coupling.
    """
    _check_choice("engine", engine, _ENGINES)
    _check_choice("coupling", coupling, get_args(Coupling))
    doses = _checked(fractions)
    stack = axial_stack(volume, spacing)
    results = [np.array(stack.array) for _ in doses]
    noisy = sorted({a for a in doses if a < 1}, reverse=True)
    if noisy:
        build = _ENGINES[engine]
        model = build(stack.array, calibration, spacing=stack.spacing, doses=noisy, device=torch.device(device))
        for indices, noise in added_noise(model, noisy, (seed, case), coupling=coupling, bias=bias):
            part = slice(indices.start, indices.stop)
            for a, result in zip(doses, results, strict=True):
                if a < 1:
                    result[part] = _add(stack.array[part], noise[:, noisy.index(a)].cpu().numpy())
    return [stack.restore(r) for r in results]


def added_noise(
    model: NoiseEngine,
    doses: Sequence[float],
    stream: tuple[int, str],
    *,
    coupling: Coupling = "shared",
    bias: bool = False,
    first: int = 0,
    last: int | None = None,
) -> Iterator[tuple[range, torch.Tensor]]:
    """The added HU of slices ``first`` to ``last``, batch by batch: (slice indices, (n, doses, rows, columns)).

    Args:
        model: Of the volume.
        doses: Falling fractions below 1.
        stream: Seed and name of the random numbers.
        coupling, bias: As in `degrade`.
        first, last: Range of slices; the rest of the volume isn't touched.
    """
    steps = _steps(doses, stream, coupling)
    for indices in model.batches(first, last):
        noise = model.noise(indices, steps)
        if coupling == "nested":
            noise = noise.cumsum(dim=1)
        if bias:
            noise = noise + torch.stack([model.bias(indices, a) for a in doses], dim=1)
        yield indices, noise


def _steps(doses: Sequence[float], stream: tuple[int, str], coupling: Coupling) -> list[DoseStep]:
    starts = [1.0, *doses[:-1]] if coupling == "nested" else [1.0] * len(doses)
    keys = [stream_key(*stream, "shared" if coupling == "shared" else a) for a in doses]
    return [DoseStep(*step) for step in zip(doses, starts, keys, strict=True)]


def in_field(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that were measured: neither padding (≤ −1024 HU) nor NaN."""
    return np.asarray(hu > PADDING_HU)


def _add(hu: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
    total = hu + noise
    if np.issubdtype(hu.dtype, np.integer):
        limits = np.iinfo(hu.dtype)
        total = np.rint(total).clip(limits.min, limits.max)
    return np.where(in_field(hu), total.astype(hu.dtype), hu)


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise UserError(f"dose degradation: found {name} {value!r}, expected {' or '.join(choices)}.")


def _checked(fractions: Sequence[float]) -> list[float]:
    doses = [float(a) for a in fractions]
    if not doses or not all(SMALLEST_FRACTION <= a <= 1 for a in doses):
        raise UserError(
            f"dose degradation: found dose fractions {doses}, expected at least one, each from"
            f" {SMALLEST_FRACTION} to 1."
        )
    return doses
