"""One case of a raw dataset: its channels and its region map, read, checked and brought to one orientation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.dataset import Dataset, channel_path, region_path

from .faults import ImageFault
from .geometry import overlap_fraction, same_grid, to_canonical
from .plausibility import check_units
from .reading import read_image, read_regions

SMALLEST_OVERLAP = 0.05


@dataclass(frozen=True)
class RawCase:
    """A case in memory; images keep their own grids, all in canonical orientation (arrays z, y, x to S, P, L).

    Attributes:
        case: Its name.
        images: float32 image by channel index; missing channels are absent, the base (0) is always there.
        regions: uint8 region map on the base image's grid, or None.
    """

    case: str
    images: dict[int, sitk.Image]
    regions: sitk.Image | None


def list_cases(folder: Path, dataset: Dataset, *, images: str = "imagesTr") -> list[str]:
    """Names of the cases of a dataset folder that have a base image, sorted; empty where the folder is missing."""
    ending = f"_0000{dataset.file_ending}"
    paths = (Path(folder) / images).glob(f"*{ending}")
    return sorted(p.name.removesuffix(ending) for p in paths if not p.name.startswith("."))


def load_case(
    folder: Path, dataset: Dataset, case: str, *, images: str = "imagesTr", regions: str = "regionsTr"
) -> RawCase:
    """Read one case of a dataset folder.

    Raises:
        ImageFault: The case's first fault: a missing base image, anything that `read_image`, `read_regions` or
            `check_units` finds, a channel that does not overlap the base image, a region map off its grid.
    """
    raw, faults = examine_case(folder, dataset, case, images=images, regions=regions)
    if faults:
        raise faults[0]
    return raw


def examine_case(
    folder: Path, dataset: Dataset, case: str, *, images: str = "imagesTr", regions: str = "regionsTr"
) -> tuple[RawCase, list[ImageFault]]:
    """Read what can be read of a case, and list all its faults; the case holds only what has none."""
    paths = {i: channel_path(Path(folder) / images, case, i, dataset.file_ending) for i in range(len(dataset.channels))}
    present = {i: p for i, p in paths.items() if i == 0 or p.exists()}
    region_file = region_path(Path(folder) / regions, case, dataset.file_ending)
    return examine_files(case, dataset, present, region_file if region_file.exists() else None)


def examine_files(
    case: str, dataset: Dataset, images: Mapping[int, Path], regions: Path | None
) -> tuple[RawCase, list[ImageFault]]:
    """The same for files that lie anywhere: images by channel index (0 must be there), and the region map."""
    found: dict[int, sitk.Image] = {}
    faults: list[ImageFault] = []
    for index, path in sorted(images.items()):
        try:
            image = to_canonical(read_image(path))
            check_units(image, dataset.channels[index].role, path)
            if dataset.session_of(index) is None:  # other sessions lie in frames of their own
                _check_overlap(found.get(0), image, path)
        except ImageFault as fault:
            faults.append(fault)
        else:
            found[index] = image
    region_map = None
    if regions is not None:
        try:
            region_map = _read_region_map(regions, dataset, found.get(0))
        except ImageFault as fault:
            faults.append(fault)
    return RawCase(case, found, region_map), faults


def _check_overlap(base: sitk.Image | None, image: sitk.Image, path: Path) -> None:
    if base is None:
        return
    share = overlap_fraction(base, image)
    if share < SMALLEST_OVERLAP:
        raise ImageFault(
            path,
            f"an image that covers {100 * share:.0f} % of the base image in space",
            f"at least {100 * SMALLEST_OVERLAP:.0f} %: images of one patient in one frame",
        )


def _read_region_map(path: Path, dataset: Dataset, base: sitk.Image | None) -> sitk.Image:
    regions = to_canonical(read_regions(path, [r.value for r in dataset.regions]))
    if base is not None and not same_grid(base, regions):
        raise ImageFault(path, f"a region map {_describe(regions)}", f"the base image's grid {_describe(base)}")
    return regions


def _describe(image: sitk.Image) -> str:
    size, spacing, origin = image.GetSize(), image.GetSpacing(), image.GetOrigin()
    return (
        f"of {size[0]}×{size[1]}×{size[2]} voxels of {spacing[0]:.3g}×{spacing[1]:.3g}×{spacing[2]:.3g} mm"
        f" at ({origin[0]:.1f}, {origin[1]:.1f}, {origin[2]:.1f})"
    )
