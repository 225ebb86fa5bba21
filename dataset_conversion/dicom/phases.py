"""A CT series that holds several contrast phases: told apart by their slices, chosen by the vessels' enhancement."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.dicom.case_writing import CaseWriter
from reactkd_auto.dataset_conversion.dicom.regions import region_map
from reactkd_auto.dataset_conversion.dicom.selection import CaseSources
from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom import read_series
from reactkd_auto.imageio.dicom_header import read_header
from reactkd_auto.imageio.dicom_tree import Series

_TAGS = ("AcquisitionNumber", "ImagePositionPatient")


@dataclass(frozen=True)
class PortalVenousWriter(CaseWriter):
    """A `CaseWriter` that takes of a series with several phases the portal venous one.

    Which phase that is no header says: it is taken to be the one with the highest attenuation of the portal vein less
    that of the aorta, both as segmented (in the arterial phase the aorta leads by far, later they draw level).

    Attributes:
        portal, aorta: Voxel values of the two regions.
    """

    portal: int
    aorta: int

    def write(self, sources: CaseSources) -> dict[str, str]:
        """Choose the phase and write the case.

        Raises:
            UserError: As `CaseWriter.write`; a phase is no whole volume, the segments lie on the slices of none, or
                on those of several and the vessels are not segmented.
        """
        phases = split_phases(sources.base)
        if len(phases) > 1:
            sources = replace(sources, base=self._portal_venous(sources, phases))
        return super().write(sources)

    def _portal_venous(self, sources: CaseSources, phases: list[Series]) -> Series:
        """Of the phases on whose slices the segments lie the one in which the portal vein leads most."""
        leads_hu: dict[int, float] = {}
        faults: list[ImageFault] = []
        for index, phase in enumerate(phases):
            image = read_series(phase.files)
            try:
                regions = region_map(sources.structures, phase.frames, self.choices.regions, image)
            except ImageFault as fault:
                faults.append(fault)
            else:
                leads_hu[index] = self._portal_lead_hu(image, regions)
        if not leads_hu:
            raise faults[0]
        if len(leads_hu) > 1 and any(map(math.isnan, leads_hu.values())):
            found = "several phases in one series, and no segments of portal vein and aorta"
            raise ImageFault(phases[0].files[0].parent, found, "both, to tell the phase by")
        return phases[max(leads_hu, key=lambda i: leads_hu[i])]

    def _portal_lead_hu(self, image: sitk.Image, regions: sitk.Image | None) -> float:
        """Mean of the portal vein less that of the aorta; not a number where one of them is not segmented."""
        if regions is None:
            return math.nan
        hu, values = sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(regions)
        portal, aorta = values == self.portal, values == self.aorta
        return float(hu[portal].mean() - hu[aorta].mean()) if portal.any() and aorta.any() else math.nan


def split_phases(series: Series) -> list[Series]:
    """The acquisitions of a series if slices of several lie at one position; else the series as it is."""
    positions: set[tuple[float, ...]] = set()
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for path in series.files:
        header = read_header(path, _TAGS)
        positions.add(tuple(np.round(header.numbers("ImagePositionPatient", 3), 2)))
        files[header.text("AcquisitionNumber")].append(path)
    if len(positions) == len(series.files) or len(files) == 1:
        return [series]
    return [replace(series, files=paths) for _, paths in sorted(files.items())]
