"""A body as a function of physical position, so that it can be imaged anywhere without interpolation."""

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

Points = np.ndarray
BODY_MM = (70.0, 52.0, 60.0)
"""Half axes x, y, z of the trunk, whose middle is the origin."""
TUMOUR_MM, TUMOUR_RADIUS_MM = (22.0, -8.0, 6.0), 14.0


def tissue(points: Points, seed: int = 0) -> Points:
    """HU at (…, 3) points x, y, z: a rim of fat, muscle, a spine, organs that another seed has elsewhere, a tumour."""
    rng = np.random.default_rng(seed)
    radius = np.linalg.norm(points / np.array(BODY_MM), axis=-1)
    hu = np.where(radius <= 1, -100.0, -1000.0)
    hu[radius <= 0.88] = 50.0
    spine = np.hypot(points[..., 0], points[..., 1] - 30) <= 9
    hu[spine & (radius <= 0.9)] = 450.0
    for value in (-80.0, 150.0, -750.0, 250.0, 0.0, 400.0):
        centre = rng.uniform(-0.55, 0.55, 3) * np.array(BODY_MM)
        hu[(np.linalg.norm(points - centre, axis=-1) <= rng.uniform(8, 16)) & (radius <= 0.85)] = value
    hu[in_tumour(points)] = 90.0
    return hu


def in_tumour(points: Points) -> Points:
    """Whether points lie in the tumour."""
    return np.linalg.norm(points - np.array(TUMOUR_MM), axis=-1) <= TUMOUR_RADIUS_MM


def uptake(points: Points) -> Points:
    """SUV: little in fat, more in muscle, most in the tumour."""
    radius = np.linalg.norm(points / np.array(BODY_MM), axis=-1)
    suv = np.where(radius <= 1, 0.3, 0.0)
    suv[radius <= 0.88] = 1.0
    suv[in_tumour(points)] = 6.0
    return suv


def imaged(
    what: Callable[[Points], Points],
    *,
    spacing: float = 4.0,
    transform: sitk.Transform | None = None,
    noise: float = 0.0,
    seed: int = 0,
    half_mm: tuple[float, float, float] = (80.0, 62.0, 60.0),
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> sitk.Image:
    """An image of ±``half_mm`` round ``offset``; ``transform`` takes its points to the body's.

    Blurred like a scanner by imaging at half the spacing and averaging.
    """
    size = [int(2 * h // spacing) for h in half_mm]
    fine = sitk.Image([2 * n for n in size], sitk.sitkFloat32)
    fine.SetSpacing([spacing / 2] * 3)
    fine.SetOrigin([o - h + spacing / 4 for o, h in zip(offset, half_mm, strict=True)])
    array = what(_seen_through(transform, fine)).astype(np.float32)
    array += np.random.default_rng(seed).normal(0, noise, array.shape).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(fine)
    return sitk.BinShrink(image, [2, 2, 2])


def _seen_through(transform: sitk.Transform | None, image: sitk.Image) -> Points:
    z, y, x = np.indices(image.GetSize()[::-1], dtype=float)
    points = np.stack([x, y, z], -1) * np.array(image.GetSpacing()) + np.array(image.GetOrigin())
    if transform is None:
        return points
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )
    return points + sitk.GetArrayFromImage(field)


def rigid(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> sitk.Euler3DTransform:
    """A rotation about the middle of the body, then a shift in mm."""
    return sitk.Euler3DTransform((0.0, 0.0, 0.0), *np.radians(degrees), shift)


def landmarks() -> Points:
    """Points (n, 3) all over the body."""
    grid = np.stack(np.meshgrid(*[(-0.6, 0.0, 0.6)] * 3), -1).reshape(-1, 3)
    return grid * np.array(BODY_MM)


def distances(first: sitk.Transform, second: sitk.Transform) -> Points:
    """How far apart two transforms take the landmarks, mm."""
    return np.array(
        [np.linalg.norm(np.subtract(first.TransformPoint(p), second.TransformPoint(p))) for p in landmarks().tolist()]
    )
