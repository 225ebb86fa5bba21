"""A region map as a DICOM segmentation, one segment a region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from reactkd_auto.dataset import Region, RegionRole
from reactkd_auto.inference.dicom_out.identity import Identity, own_code

LESION = codes.SCT.Lesion
_KINDS: dict[RegionRole, tuple[Code, Code | None]] = {
    "lesion": (codes.SCT.MorphologicallyAbnormalStructure, LESION),
    "organ": (codes.SCT.AnatomicalStructure, codes.SCT.Organ),
    "context": (codes.SCT.AnatomicalStructure, None),
}


def present_regions(labels: NDArray[np.uint8], regions: Sequence[Region]) -> list[Region]:
    """Regions that the map shows, in the order of their segments."""
    return [r for r in regions if (labels == r.value).any()]


def segmentation(
    labels: NDArray[np.uint8], regions: Sequence[Region], identity: Identity, *, automatic: bool
) -> Segmentation:
    """The segmentation.

    Args:
        labels: (slice, row, column) region map on the grid of the source series.
        regions: Those that it shows, see `present_regions`.
        identity: Of the answer.
        automatic: Whether the model's localiser or supervoxels made them; else a person or another program gave them.
    """
    masks = np.stack([labels == r.value for r in regions], axis=-1).astype(np.uint8)
    return Segmentation(
        list(identity.slices),
        masks,
        SegmentationTypeValues.BINARY,
        [_segment(number, r, identity, automatic) for number, r in enumerate(regions, start=1)],
        content_label="REGIONS",
        **identity.arguments("regions", 1),
        **identity.equipment(),
    )


def _segment(number: int, region: Region, identity: Identity, automatic: bool) -> SegmentDescription:
    category, kind = _KINDS[region.role]
    return SegmentDescription(
        number,
        region.name[:64],
        category,
        kind or own_code(f"REGION_{region.value}", region.name),
        SegmentAlgorithmTypeValues.AUTOMATIC if automatic else SegmentAlgorithmTypeValues.MANUAL,
        identity.algorithm() if automatic else None,
        tracking_uid=identity.uid("region", region.name),
        tracking_id=region.name[:64],
    )
