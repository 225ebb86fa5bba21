"""Regions where nobody drew any: the body in compact parts that follow its edges, numbered alike in every patient."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset, Region
from reactkd_auto.imageio import array_spacing
from reactkd_auto.plan import Triple, TripleMm
from reactkd_auto.regions.parcels import parcel_map

from .grid import Grid, centred_grid
from .resample import resample

SPLITS: dict[int, Triple] = {2: (1, 1, 2), 4: (2, 1, 2), 8: (2, 2, 2), 12: (3, 2, 2)}
"""How many supervoxels there may be, and the parts of the body along S–I, A–P, R–L that they begin from."""
PREFIX = "supervoxel_"
SPACING_MM = 4.0
"""Finer detail decides nothing about parts of a body."""
FEWEST_ALONG = 16
"""Voxels along an edge of a small image."""
WINDOW_HU = (-160.0, 240.0)
COMPACTNESS = 0.1
PIECES = 20
"""Small supervoxels that one is put together from."""
BODY_HU = -500.0
OPENING_MM = 8.0
"""The shell of a couch is thinner, a chest wall is not."""
SMALLEST_BODY_SHARE = 0.05


def supervoxel_regions(count: int, *, first_value: int = 1) -> tuple[Region, ...]:
    """The entries of ``dataset.json``: context regions ``supervoxel_1`` …, of consecutive values."""
    return tuple(Region(f"{PREFIX}{i + 1}", first_value + i, "context") for i in range(count))


def supervoxel_values(dataset: Dataset) -> tuple[int, ...]:
    """Values of a dataset's supervoxels in the order of their numbers; empty where it has none."""
    found = {r.name: r.value for r in dataset.regions if r.role == "context"}
    names = [f"{PREFIX}{i + 1}" for i in range(sum(name.startswith(PREFIX) for name in found))]
    return tuple(found[name] for name in names) if len(names) in SPLITS and set(names) <= set(found) else ()


def supervoxel_map(ct: sitk.Image, values: tuple[int, ...]) -> sitk.Image:
    """Supervoxels of the body; the same CT gives the same map.

    Small supervoxels by SLIC with a mask (Achanta et al., TPAMI 2012; Irving, arXiv:1606.09518) on soft-tissue windowed
    HU at about 4 mm are put together to as many as wanted: each goes where most of it lies when the body is divided
    into parts of equal volume along R–L, S–I, A–P. So borders follow edges, and a number means the same place in every
    patient, which SLIC alone, whose first centres are random, can't promise.

    Args:
        ct: HU, canonical orientation.
        values: Region value of each supervoxel; their number is one of `SPLITS`.

    Returns:
        uint8 on the grid of ``ct``, 0 outside of the body.
    """
    grid = _coarse_grid(ct)
    hu = resample(sitk.Maximum(ct, -1024.0), grid)
    body = body_mask(hu, grid.spacing_mm)
    labels = _parts(hu, body, grid.spacing_mm, SPLITS[len(values)])
    painted = np.array([0, *values], np.uint8)[labels]
    return sitk.Resample(grid.image(painted), ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)


def body_mask(hu: NDArray[np.float32], spacing: TripleMm) -> NDArray[np.bool_]:
    """The largest body (z, y, x) with the air in it, without the couch; everything where that is next to nothing."""
    radius = [max(0, round(OPENING_MM / 2 / s)) for s in spacing]
    element = np.ones([2 * r + 1 for r in radius], bool)
    padded = np.pad(hu > BODY_HU, [(r, r) for r in radius], mode="edge")  # the body goes on beyond the image
    inner = tuple(slice(r, n - r) for r, n in zip(radius, padded.shape, strict=True))
    found, count = ndimage.label(ndimage.binary_opening(padded, element)[inner])
    if not count:
        return np.ones(hu.shape, bool)
    largest = found == 1 + int(np.argmax(np.bincount(found.ravel())[1:]))
    body = np.stack([ndimage.binary_fill_holes(axial) for axial in largest])
    return body if body.mean() >= SMALLEST_BODY_SHARE else np.ones(hu.shape, bool)


def _coarse_grid(ct: sitk.Image) -> Grid:
    """A grid over the whole CT of about `SPACING_MM`, finer for small images."""
    size, spacing = np.array(ct.GetSize()[::-1]), np.array(array_spacing(ct))
    wanted = np.minimum(SPACING_MM, size * spacing / FEWEST_ALONG)
    coarse = np.maximum(np.round(size * spacing / np.maximum(wanted, spacing)), 1).astype(int)
    return centred_grid(Grid.of(ct), (size - 1) / 2, coarse, size * spacing / coarse)


def _parts(hu: NDArray[np.float32], body: NDArray[np.bool_], spacing: TripleMm, splits: Triple) -> NDArray[np.int64]:
    """Equal parts of the body, numbered from 1, whose borders have moved to those of small SLIC supervoxels."""
    from skimage.segmentation import slic

    low, high = WINDOW_HU
    pieces = slic(
        (np.clip(hu, low, high) - low) / (high - low),
        n_segments=PIECES * math.prod(splits),
        compactness=COMPACTNESS,
        spacing=spacing,
        mask=body,
        channel_axis=None,
        start_label=1,
    )
    parts = parcel_map(body, splits)
    shared = np.zeros((int(pieces.max()) + 1, math.prod(splits) + 1), np.int64)
    np.add.at(shared, (pieces[body], parts[body]), 1)
    return np.where(body, shared.argmax(axis=1)[pieces], 0)
