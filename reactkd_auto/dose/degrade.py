"""Low-dose versions of a CT: the image plus the noise that the lower dose would have added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
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
from .volumes import AxialStack, axial_stack

Engine = Literal["fft", "fbp"]
Coupling = Literal["shared", "nested", "independent"]
SMALLEST_FRACTION = 0.005
_ENGINES: dict[str, Callable[..., NoiseEngine]] = {"fft": noise_model, "fbp": fbp_engine}


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
    stack = axial_stack(volume, spacing)
    model = noise_engine(stack, calibration, fractions, engine=engine, device=device)
    results = [np.empty_like(stack.array, order="C") for _ in fractions]
    for z, slices in degraded_slices(model, fractions, (seed, case), coupling=coupling, bias=bias):
        for result, part in zip(results, slices, strict=True):
            result[z] = part
    return [stack.restore(r) for r in results]


def noise_engine(
    stack: AxialStack,
    calibration: DoseCalibration,
    fractions: Sequence[float],
    *,
    engine: Engine = "fft",
    device: torch.device | str = "cpu",
) -> NoiseEngine:
    """The engine that `degrade` uses for a stack.

    Raises:
        UserError: A fraction out of range or an unknown engine.
    """
    _check_choice("engine", engine, _ENGINES)
    build, doses = _ENGINES[engine], added_doses(fractions)
    return build(stack.array, calibration, spacing=stack.spacing, doses=doses, device=torch.device(device))


def degraded_slices(
    model: NoiseEngine,
    fractions: Sequence[float],
    stream: tuple[int, str],
    *,
    coupling: Coupling = "shared",
    bias: bool = False,
) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    """Slice after slice: its index, and its (rows, columns) at each fraction in the volume's own type.

    Args:
        model: From `noise_engine`, for the same fractions.
        fractions, coupling, bias: As in `degrade`.
        stream: Seed and case.

    Raises:
        UserError: A fraction out of range or an unknown coupling.
    """
    _check_choice("coupling", coupling, get_args(Coupling))
    doses, volume = added_doses(fractions), model.volume
    assert isinstance(volume, np.ndarray)
    if not doses:
        yield from ((z, [np.array(volume[z]) for _ in fractions]) for z in range(len(volume)))
        return
    for indices, noise in added_noise(model, doses, stream, coupling=coupling, bias=bias):
        on_host = noise.cpu().numpy()
        for z, added in zip(indices, on_host, strict=True):
            by_dose = {a: _add(volume[z], n) for a, n in zip(doses, added, strict=True)}
            yield z, [by_dose[a] if a < 1 else np.array(volume[z]) for a in map(float, fractions)]


def added_doses(fractions: Sequence[float], *, option: str = "dose degradation") -> list[float]:
    """The different fractions below 1, falling.

    Args:
        fractions: Of the dose.
        option: Where they were given, for the message.

    Raises:
        UserError: None given, or one out of range.
    """
    doses = [float(a) for a in fractions]
    if not doses or not all(SMALLEST_FRACTION <= a <= 1 for a in doses):
        raise UserError(
            f"{option}: found dose fractions {', '.join(f'{a:g}' for a in doses) or 'none'}, expected at least one, "
            f"each from {SMALLEST_FRACTION} to 1 (0.5 is 50 %)."
        )
    return sorted({a for a in doses if a < 1}, reverse=True)


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
            noise = noise + model.bias(indices, doses)
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
