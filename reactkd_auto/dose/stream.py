"""Low-dose versions of a CT of any length, in bounded memory: slice after slice from a memory map into files.

Memory holds a few slices and what one slice takes to be degraded, whatever the length of the CT: the unpacked CT (and,
for a CT that is not stored in axial slices, each result until it is complete) lies in scratch files beside the outputs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.imageio import ImageFault, MappedImage, NiftiWriter, check_ct_range, map_image
from reactkd_auto.imageio.sources import ImageSource
from reactkd_auto.jsonio import atomic_path, scratch_path

from .geometry import PADDING_HU
from .volumes import AxialStack, oriented_stack

_CHUNK = 8 << 20
_STORED_AXIALLY = (0, 1, 2)

DegradedSlices = Iterable[tuple[int, list[NDArray[Any]]]]


@dataclass(frozen=True, eq=False)
class MappedCt:
    """A CT whose voxels lie in a scratch file.

    Attributes:
        image: As stored.
        stack: The same voxels as axial slices.
    """

    image: MappedImage
    stack: AxialStack


@contextmanager
def mapped_ct(source: ImageSource, scratch_folder: Path) -> Iterator[MappedCt]:
    """Unpack a CT into a scratch file, which goes when the context ends.

    Raises:
        UserError: Not a readable 3D image, not in HU, oblique by more than 35°, or a full disk.
    """
    path = source.path
    with scratch_path(scratch_folder / f"{path.name}.hu") as scratch:
        image = map_image(source, scratch, padding=PADDING_HU)
        if math.isnan(image.lowest):
            raise ImageFault(path, f"no finite value above {PADDING_HU}", "CT in Hounsfield units (air −1000, water 0)")
        check_ct_range(image.lowest, image.highest, path)
        yield MappedCt(image, oriented_stack(image.array, image.placement.spacing, image.placement.direction))


def write_degraded(ct: MappedCt, slices: DegradedSlices, paths: Sequence[Path]) -> None:
    """Write the degraded axial slices of a CT as compressed NIfTI files on its own grid, in its own type.

    All files appear under their names when the last slice is done, each whole. The same slices give the same bytes.

    Args:
        ct: The CT.
        slices: Each index with one array a path, in rising order (`degraded_slices`).
        paths: Ending in ``.nii.gz``.

    Raises:
        UserError: A file could not be written.
    """
    with ExitStack() as files, ThreadPoolExecutor(min(len(paths), os.cpu_count() or 1)) as pool:
        writers = [files.enter_context(_degraded_file(ct, path)) for path in paths]
        waiting: list[Future[None]] = []
        for z, parts in slices:
            # One slice ahead of the compression, which runs beside the physics.
            _wait_for(waiting)
            waiting = [pool.submit(write, z, part) for write, part in zip(writers, parts, strict=True)]
        _wait_for(waiting)


def _wait_for(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.result()


@contextmanager
def _degraded_file(ct: MappedCt, path: Path) -> Iterator[Callable[[int, NDArray[Any]], None]]:
    """A function that takes axial slices in rising order; at the end the file stands."""
    stored = ct.image.array
    with atomic_path(path) as temporary, NiftiWriter(temporary, stored.shape, stored.dtype, ct.image.placement) as file:
        if ct.stack.order == _STORED_AXIALLY:
            yield lambda _, values: file.write(values)
            return
        with scratch_path(path.with_name(f"{path.name}.raw")) as scratch:
            turned = _new_map(scratch, stored.shape, stored.dtype)
            axial = turned.transpose(ct.stack.order)
            yield axial.__setitem__
            for values in turned:
                file.write(values)


def _new_map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A writable map of a file that is really there: writing to a map on a full disk would end the process."""
    size = int(np.prod(shape)) * dtype.itemsize
    with path.open("wb") as file:
        for first in range(0, size, _CHUNK):
            file.write(bytes(min(_CHUNK, size - first)))
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
