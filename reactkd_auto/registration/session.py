"""A session's CT onto the base CT: where the search starts, what it finds, and whether that may be used."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import TransformKind
from reactkd_auto.fingerprint import RegistrationQuality
from reactkd_auto.preprocessing.resample import resample

from .comparison import Fit, compare, dice
from .solver import smallest_jacobian, solve_deformable, solve_rigid, translation
from .window import Mask, window_grid

SPACING_MM = 3.0
MOST_MOVING_VOXELS = 16_000_000
CLAMP_HU = (-1000.0, 500.0)
SLIDE_MM = 24.0
"""Step by which image centres are slid along the body: fields of view seldom begin at the same vertebra."""
SMALLEST_OVERLAP = 0.5
SMALLEST_CORRELATION = 0.7
"""Half of the variance of the HU explained (r² = 0.5). CTs of sarcoma patients, moved, bent and made noisier: at least
0.85 with themselves, at most 0.48 with the next patient's."""
ALLOWANCE = 0.02
"""Share of mutual information, and Dice, that interpolation alone may cost."""
SMALLEST_JACOBIAN = 0.2
Start = Literal["frame", "images", "regions"]
Point = tuple[float, float, float]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionImages:
    """A CT in HU in canonical orientation, and its organ and lesion voxels if it has any."""

    ct: sitk.Image
    marked: Mask | None

    def mask(self) -> sitk.Image:
        """The marked voxels as an image."""
        image = sitk.GetImageFromArray(np.asarray(self.marked).astype(np.uint8))
        image.CopyInformation(self.ct)
        return image


@dataclass(frozen=True)
class Solution:
    """Transform of points of the base image to points of the session: ``rigid``, after ``bspline`` if there is one."""

    rigid: sitk.Euler3DTransform
    bspline: sitk.BSplineTransform | None
    quality: RegistrationQuality
    refusal: str

    @property
    def transform(self) -> sitk.Transform:
        """Both as one."""
        return self.rigid if self.bspline is None else sitk.CompositeTransform([self.rigid, self.bspline])


def register(base: SessionImages, other: SessionImages, kind: TransformKind) -> Solution:
    """Bring a session's CT onto the base CT, and judge the result."""
    fixed, moving = prepared(base), prepared(other, whole=True)
    before = compare(fixed, moving, sitk.Transform())
    start, rigid = _coarse(fixed, moving, _starts(base, other, fixed, moving))
    rigid = _better(fixed, moving, rigid, shrink=(2, 1))
    bspline = _bent(fixed, moving, rigid) if kind == "rigid_bspline" else None
    found = rigid if bspline is None else sitk.CompositeTransform([rigid, bspline])
    after = compare(fixed, moving, found)
    dices = _dices(base, other, found)
    quality = RegistrationQuality(
        start=start,
        shift_mm=_shift(fixed, found),
        rotation_degrees=_rotation(rigid),
        overlap=after.overlap,
        information_before=before.information,
        information_after=after.information,
        correlation=after.correlation,
        dice_before=dices[0] if dices else None,
        dice_after=dices[1] if dices else None,
    )
    return Solution(rigid, bspline, quality, refusal(quality))


def prepared(images: SessionImages, *, whole: bool = False) -> sitk.Image:
    """A CT as it is compared: HU on a grid of 3 mm, round its regions or of the whole image."""
    if whole:
        grid = window_grid(images.ct, None, SPACING_MM, most_voxels=MOST_MOVING_VOXELS)
    else:
        grid = window_grid(images.ct, images.marked, SPACING_MM)
    return grid.image(np.clip(resample(images.ct, grid), *CLAMP_HU))


def refusal(quality: RegistrationQuality) -> str:
    """Why a registration must not be used; empty if it may be."""
    worse = "registration made it worse:"
    before, after = quality.information_before, quality.information_after
    if after < (1 - ALLOWANCE) * before:
        return f"{worse} mutual information fell from {before:.2f} to {after:.2f}"
    if quality.dice_before is not None and quality.dice_after is not None:
        if quality.dice_after < quality.dice_before - ALLOWANCE:
            return f"{worse} Dice of the regions fell from {quality.dice_before:.2f} to {quality.dice_after:.2f}"
        if quality.dice_after == 0:
            return "the regions of both CTs do not meet"
    if quality.overlap < SMALLEST_OVERLAP:
        return f"its CT covers only {quality.overlap:.0%} of the part of the base CT in use"
    if quality.correlation < SMALLEST_CORRELATION:
        return f"the CTs do not fit: correlation of their HU {quality.correlation:.2f}, expected {SMALLEST_CORRELATION}"
    return ""


def _starts(
    base: SessionImages, other: SessionImages, fixed: sitk.Image, moving: sitk.Image
) -> list[tuple[Start, sitk.Euler3DTransform]]:
    """Where the search may begin: as the files lie; image centres, slid along the body; centres of the regions."""
    between = np.array(_middle(moving)) - np.array(_middle(fixed))
    room = (_height(moving) + _height(fixed)) / 2
    steps = [k * SLIDE_MM for k in range(-int(room // SLIDE_MM), int(room // SLIDE_MM) + 1)]
    slid = [translation(fixed, _triple(between + np.array([0.0, 0.0, step]))) for step in steps]
    starts: list[tuple[Start, sitk.Euler3DTransform]] = [
        ("frame", translation(fixed, (0.0, 0.0, 0.0))),
        ("images", translation(fixed, _triple(between))),
        ("images", max(slid, key=lambda t: compare(fixed, moving, t).information)),
    ]
    if base.marked is not None and other.marked is not None:
        apart = np.array(_centroid(other)) - np.array(_centroid(base))
        starts.append(("regions", translation(fixed, _triple(apart))))
    return starts


def _coarse(
    fixed: sitk.Image, moving: sitk.Image, starts: list[tuple[Start, sitk.Euler3DTransform]]
) -> tuple[Start, sitk.Euler3DTransform]:
    """The start from which a coarse search comes furthest, and what it found."""
    found = [(name, _better(fixed, moving, start, shrink=(4,))) for name, start in starts]
    return max(found, key=lambda pair: compare(fixed, moving, pair[1]).information)


def _better(
    fixed: sitk.Image, moving: sitk.Image, start: sitk.Euler3DTransform, *, shrink: tuple[int, ...]
) -> sitk.Euler3DTransform:
    """What the solver makes of a start, or the start itself where that is no better (or the images do not overlap)."""
    if compare(fixed, moving, start).overlap == 0:
        return start
    try:
        found = solve_rigid(fixed, moving, start, shrink=shrink)
    except RuntimeError as error:  # ITK: all samples outside of the moving image
        logger.debug("Registration stopped: %s", error)
        return start
    information = [compare(fixed, moving, t).information for t in (start, found)]
    return found if information[1] > information[0] else start


def _bent(fixed: sitk.Image, moving: sitk.Image, rigid: sitk.Euler3DTransform) -> sitk.BSplineTransform | None:
    """B-splines on top of the rigid transform, or None where they do not help or fold the body."""
    try:
        bspline = solve_deformable(fixed, moving, rigid)
    except RuntimeError as error:
        logger.debug("Registration stopped: %s", error)
        return None
    fits: list[Fit] = [compare(fixed, moving, t) for t in (rigid, sitk.CompositeTransform([rigid, bspline]))]
    helps = fits[1].information > fits[0].information
    return bspline if helps and smallest_jacobian(bspline, fixed) >= SMALLEST_JACOBIAN else None


def _dices(base: SessionImages, other: SessionImages, transform: sitk.Transform) -> tuple[float, float] | None:
    if base.marked is None or other.marked is None:
        return None
    ours, theirs = base.mask(), other.mask()
    return dice(ours, theirs, sitk.Transform()), dice(ours, theirs, transform)


def _shift(fixed: sitk.Image, transform: sitk.Transform) -> Point:
    """(z, y, x) way of the session's image at the middle of the base window, which goes against the points' way."""
    middle = _middle(fixed)
    x, y, z = np.array(middle) - np.array(transform.TransformPoint(middle))
    return float(z), float(y), float(x)


def _rotation(rigid: sitk.Euler3DTransform) -> float:
    """Angle in degrees about the rotation's own axis: arccos((trace R − 1) / 2)."""
    trace = float(np.trace(np.array(rigid.GetMatrix()).reshape(3, 3)))
    return math.degrees(math.acos(min(1.0, max(-1.0, (trace - 1) / 2))))


def _middle(image: sitk.Image) -> Point:
    x, y, z = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    return x, y, z


def _height(image: sitk.Image) -> float:
    return float(image.GetSize()[2] * image.GetSpacing()[2])


def _centroid(images: SessionImages) -> Point:
    z, y, x = (float(index.mean()) for index in np.nonzero(np.asarray(images.marked)))
    px, py, pz = images.ct.TransformContinuousIndexToPhysicalPoint([x, y, z])
    return px, py, pz


def _triple(values: np.ndarray) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
