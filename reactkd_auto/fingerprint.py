"""`fingerprint.json`: what was measured on every case and on the cohort, the only thing that planning rules see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .jsonio import content_hash, read_document, write_json

SCHEMA_VERSION = 1
QUANTILE_LEVELS = (0.0, 0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995, 1.0)
RING_WIDTHS_MM = (5.0, 7.5, 10.0)
"""Ring widths tried on every lesion; a planned ring lies between the first and the last."""
LOW_DOSES = (0.05, 0.07, 0.1, 0.15, 0.2, 0.25)
"""Dose fractions at which the departure from the quantum law is measured."""


@dataclass(frozen=True)
class Intensities:
    """Real values (HU, SUV, …) of one channel inside the regions, or inside the body where there are none.

    Attributes:
        voxels: How many values were seen.
        quantiles: At `QUANTILE_LEVELS`.
        mean, std: Of the values as the network sees them: ln(1 + SUV) for ``pet_suv``, otherwise unchanged.
        highest: Largest value of the whole image, for the choice of the storage scale.
    """

    voxels: int
    quantiles: tuple[float, ...]
    mean: float
    std: float
    highest: float


@dataclass(frozen=True)
class ScanInfo:
    """What a sidecar file says about the acquisition of the base CT; empty or None where it is silent.

    Attributes:
        scanner: Manufacturer and model.
        kernel: Reconstruction kernel.
        kilovolts: Tube voltage.
        exposure_mas: Tube current × time of a rotation, mAs.
        iterative: Whether it names an iterative or learned reconstruction.
    """

    scanner: str = ""
    kernel: str = ""
    kilovolts: float | None = None
    exposure_mas: float | None = None
    iterative: bool = False


@dataclass(frozen=True)
class DoseMeasurement:
    """How the noise of a CT arises, from its soft tissue.

    Attributes:
        calibration: A `reactkd_auto.dose.DoseCalibration`.
        departures: At `LOW_DOSES`, median over the body of added SD / quantum law √((1 − a) / a · 1/N): above 1 where
            electronic noise and starved rays add to it.
        sharpness: Mean frequency of the noise between 0.2 and 0.5 mm⁻¹; None where no soft tissue is homogeneous.
        patches: Patches of homogeneous soft tissue found.
        pooled: CTs that the kernel was estimated from.
        pooled_hash: Of those CTs; empty for a CT that stands on its own.
    """

    calibration: dict[str, Any]
    departures: tuple[float, ...]
    sharpness: float | None
    patches: int
    pooled: int = 1
    pooled_hash: str = ""

    @property
    def cropped(self) -> bool:
        """Whether path lengths outside of the image had to be assumed."""
        return self.calibration["ellipse_mm"] is not None

    @property
    def preset(self) -> bool:
        """Whether nothing could be measured."""
        return self.calibration["fallback"] is not None

    @property
    def assumed(self) -> bool:
        """Whether path lengths or flux are not this CT's own."""
        return self.cropped or self.preset or not self.calibration["patches"]


@dataclass(frozen=True)
class CaseFingerprint:
    """What was measured on one case. Triples are (z, y, x).

    Attributes:
        case, patient, label: As in the label table (label: class index or None).
        input_hash: Of the case's files and of how ``dataset.json`` reads them.
        size, spacing_mm: Grid of the base image.
        present: One flag a channel.
        valid_fraction: Share of the base image's field of view that each channel covers.
        intensities: By channel name, present channels only.
        region_extent_mm: Of the box round all organ and lesion regions; None where the case has none.
        lesion_volumes_mm3: Of the 26-connected lesion components, largest first.
        ring_volumes_mm3: For each of `RING_WIDTHS_MM`, the ring volume of each lesion, inside the organ (or body).
        organ_volume_mm3: Of the organ with the lesions in it; None without an organ region.
        neighbour_distances_mm: From each lesion's or organ's centroid to the nearest other one; where ``dataset.json``
            names neither, from each context region's.
        flags: Sentences that a person should read about this case.
        context_regions: How many context regions have a voxel.
        scan: Of the sidecar ``CASE_0000.json``; None without one.
        dose: None where the base is no CT.
    """

    case: str
    patient: str
    label: int | None
    input_hash: str
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    present: tuple[bool, ...]
    valid_fraction: tuple[float, ...]
    intensities: Mapping[str, Intensities]
    region_extent_mm: tuple[float, float, float] | None
    lesion_volumes_mm3: tuple[float, ...]
    ring_volumes_mm3: tuple[tuple[float, ...], ...]
    organ_volume_mm3: float | None
    neighbour_distances_mm: tuple[float, ...]
    flags: tuple[str, ...] = ()
    context_regions: int = 0
    scan: ScanInfo | None = None
    dose: DoseMeasurement | None = None

    @property
    def image_extent_mm(self) -> tuple[float, float, float]:
        """Field of view of the base image."""
        z, y, x = (n * s for n, s in zip(self.size, self.spacing_mm, strict=True))
        return z, y, x

    @property
    def wanted_extent_mm(self) -> tuple[float, float, float]:
        """What a patch should cover: the regions, or the whole image where there are none."""
        return self.region_extent_mm or self.image_extent_mm


@dataclass(frozen=True)
class Fingerprint:
    """Every case's measurements. Cohort numbers are derived from them (`reactkd_auto.planning.summarise`)."""

    dataset: str
    cases: tuple[CaseFingerprint, ...]
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, this release reads {SCHEMA_VERSION}")
        if len({c.case for c in self.cases}) != len(self.cases):
            raise ValueError("a case stands in the fingerprint more than once")

    @property
    def hash(self) -> str:
        """Identity of all measurements."""
        return content_hash(self)


def read_fingerprint(folder: Path) -> Fingerprint:
    """Read ``fingerprint.json`` of a preprocessed dataset or a model folder."""
    return read_document(Fingerprint, Path(folder) / "fingerprint.json")


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Write ``fingerprint.json``."""
    write_json(Path(folder) / "fingerprint.json", fingerprint)
