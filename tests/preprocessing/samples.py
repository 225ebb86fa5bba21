"""Small raw cases with known content."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase
from reactkd_auto.plan import DosePlan, GraphPlan, LocaliserPlan, Plan
from tests.builders import small_dataset, small_plan

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
ORGAN, LESION = 1, 2


def image_of(
    array: NDArray,
    spacing: tuple[float, float, float] = (3.0, 2.0, 2.0),
    origin: tuple[float, float, float] = (-20.0, 30.0, 100.0),
    direction: tuple[float, ...] = IDENTITY,
) -> sitk.Image:
    """An array (z, y, x) with spacing (z, y, x) and origin (x, y, z) as an image."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    image.SetDirection(direction)
    return image


def positions(image: sitk.Image) -> NDArray[np.float64]:
    """(z, y, x, 3) physical positions of voxel centres, by SimpleITK's own definition."""
    x, y, z = image.GetSize()
    grid = np.stack(np.meshgrid(range(z), range(y), range(x), indexing="ij"), -1)[..., ::-1]
    step = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return grid @ step.T + np.array(image.GetOrigin())


def ramp(image: sitk.Image, slope: tuple[float, float, float], offset: float = 0.0) -> sitk.Image:
    """The same geometry with values slope · position + offset."""
    result = sitk.GetImageFromArray((positions(image) @ np.array(slope) + offset).astype(np.float32))
    result.CopyInformation(image)
    return result


def plan(**changes: object) -> Plan:
    """No dose, no localiser, unless asked for."""
    graph = GraphPlan(True, True, (1, 1, 2), 2, "merged", 5.0, True, (), 65.0, 20.0)
    quiet = small_plan(dose=DosePlan(False, (0.05, 1.0), ()), localiser=LocaliserPlan(False, (6.0,) * 3, (16,) * 3))
    return dataclasses.replace(quiet, graph=graph, **changes)


def dataset() -> Dataset:
    return small_dataset()


def raw_case(
    shape: tuple[int, int, int] = (24, 30, 28),
    box: tuple[tuple[int, int], ...] | None = ((8, 16), (10, 20), (9, 19)),
    **geometry: object,
) -> RawCase:
    """Noise in HU with an organ box that holds a lesion, and an FDG image on a grid of its own; no second tracer."""
    rng = np.random.default_rng(0)
    ct = image_of(rng.uniform(-100, 200, shape).astype(np.float32), **geometry)  # type: ignore[arg-type]
    fdg = image_of(
        rng.uniform(0, 8, [n // 2 for n in shape]).astype(np.float32),
        (6.0, 4.0, 4.0), ct.GetOrigin(), ct.GetDirection(),
    )  # fmt: skip
    if box is None:
        return RawCase("case_1", {0: ct, 1: fdg}, None)
    labels = np.zeros(shape, np.uint8)
    organ = tuple(slice(a, b) for a, b in box)
    labels[organ] = ORGAN
    labels[tuple(slice(a + 2, a + 5) for a, _ in box)] = LESION
    regions = sitk.GetImageFromArray(labels)
    regions.CopyInformation(ct)
    return RawCase("case_1", {0: ct, 1: fdg}, regions)
