"""`fingerprint.json`: what was measured on every case and on the cohort, the only thing that planning rules see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .dataset import TransformKind
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
class Uptake:
    """SUV of one PET channel; lesion values are None where no lesion covers a voxel of the PET.

    Attributes:
        lesion_max: Highest voxel in the lesions (SUVmax).
        lesion_peak: Highest mean over a sphere of 1 cm³ whose centre lies in a lesion (SUVpeak; PERCIST, Wahl et al.,
            J. Nucl. Med. 2009).
        lesion_mean: Mean over all lesion voxels.
        lesion_total: Mean × volume of the lesions, SUV · cm³ (total lesion glycolysis for FDG).
        body_median: Outside of the lesions, of the voxels over a tenth of the 99th percentile.
    """

    lesion_max: float | None
    lesion_peak: float | None
    lesion_mean: float | None
    lesion_total: float | None
    body_median: float


@dataclass(frozen=True)
class ScanInfo:
    """What a sidecar file says about the acquisition of the base CT; empty or None where it is silent.

    Attributes:
        scanner: Manufacturer and model.
        kernel: Reconstruction kernel.
        kilovolts: Tube voltage.
        exposure_mas: Tube current × time of a rotation, mAs.
        iterative: Whether it names an iterative or learned reconstruction.
        site: Institution.
    """

    scanner: str = ""
    kernel: str = ""
    kilovolts: float | None = None
    exposure_mas: float | None = None
    iterative: bool = False
    site: str = ""


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
        noise_hu: Median standard deviation in the patches; None without any.
    """

    calibration: dict[str, Any]
    departures: tuple[float, ...]
    sharpness: float | None
    patches: int
    pooled: int = 1
    pooled_hash: str = ""
    noise_hu: float | None = None

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
class Alignment:
    """How a channel lies on the CT whose frame it shares.

    Attributes:
        shift_mm: (z, y, x) move of the channel, to the head, the back and the left, with which they agree best.
        shift_voxels: Its length in voxels of the coarser image.
        information: Mutual information as the files lie, nats.
        gain: With the move, as a multiple of ``information``.
        halves: Smallest gain in nats in any half of the image.
    """

    shift_mm: tuple[float, float, float]
    shift_voxels: float
    information: float
    gain: float
    halves: float


@dataclass(frozen=True)
class RegistrationQuality:
    """How well a session's CT lies on the base CT, before and after.

    Attributes:
        start: What the search began at: ``frame`` (as the files lie), ``images`` or ``regions`` (their centres).
        shift_mm: (z, y, x) move of the session, to the head, the back and the left, at the middle of what is compared.
        rotation_degrees: Of the rigid part.
        overlap: Share of what is compared that the session's CT covers afterwards.
        information_before, information_after: Mutual information in nats; what the session's CT lacks counts as air.
        correlation: Of the HU of the bodies, afterwards.
        dice_before, dice_after: Of organ and lesion regions together; None where either CT has none.
    """

    start: Literal["frame", "images", "regions"]
    shift_mm: tuple[float, float, float]
    rotation_degrees: float
    overlap: float
    information_before: float
    information_after: float
    correlation: float
    dice_before: float | None = None
    dice_after: float | None = None


@dataclass(frozen=True)
class Registration:
    """What became of one session of a case.

    Attributes:
        session: Its name.
        channels: Those that the case has.
        key: Of the files and settings that it was made from.
        transform: What was used in the end: B-splines that do not help are left out.
        quality: None where there was no CT to register.
        refusal: Why its channels count as missing; empty where they are used.
    """

    session: str
    channels: tuple[str, ...]
    key: str
    transform: TransformKind
    quality: RegistrationQuality | None
    refusal: str = ""


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
        body_extent_mm: Of the box round the body, couch apart, to about 4 mm; None where the base is no CT.
        uptake: By name of each present PET channel.
        site: Of the label table, else of the sidecar; empty where neither says it.
        alignments: Of channels on the CT, by channel name, as far as they can be compared.
        registrations: Of the sessions that the case has channels of.
        voxel_hashes: Of each present channel by name, the same for copies of one image.
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
    body_extent_mm: tuple[float, float, float] | None = None
    uptake: Mapping[str, Uptake] = field(default_factory=dict)
    site: str = ""
    alignments: Mapping[str, Alignment] = field(default_factory=dict)
    registrations: tuple[Registration, ...] = ()
    voxel_hashes: Mapping[str, str] = field(default_factory=dict)

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
