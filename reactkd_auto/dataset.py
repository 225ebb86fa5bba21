"""The raw dataset: `dataset.json`, its channels, classes and regions, and the table of labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import UserError
from .jsonio import read_document, write_json, write_text
from .tables import csv_text, read_csv

SCHEMA_VERSION = 1
ChannelRole = Literal["ct", "binary_mask", "pet_suv", "mr", "other"]
RegionRole = Literal["organ", "lesion", "context"]
TransformKind = Literal["rigid", "rigid_bspline"]
BASE_ROLES = ("ct", "binary_mask")
LABEL_COLUMNS = ("case", "patient", "label")
SAFE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")


@dataclass(frozen=True)
class Channel:
    """One image a case may have. The first channel is the base (`ct`, or `binary_mask`: a shape without HU)."""

    name: str
    role: ChannelRole


@dataclass(frozen=True)
class Region:
    """One label of the region maps: its voxel value (1…255) and what it is to the graph."""

    name: str
    value: int
    role: RegionRole


@dataclass(frozen=True)
class Covariate:
    """A column of ``labelsTr.csv`` that says something of the patient: a number, or one of some categories.

    Attributes:
        name: Of the column.
        kind: ``numeric`` or ``categorical``.
        categories: All that may stand there; of categorical ones only.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name in LABEL_COLUMNS:
            raise ValueError(f"covariate {self.name!r}: expected another column than {', '.join(LABEL_COLUMNS)}")
        if self.kind == "numeric" and self.categories:
            raise ValueError(f"numeric covariate {self.name!r} has categories, expected none")
        if self.kind == "categorical" and (
            len(self.categories) < 2 or len(set(self.categories)) < len(self.categories)
        ):
            raise ValueError(f"categorical covariate {self.name!r}: expected two or more different categories")


@dataclass(frozen=True)
class Session:
    """Channels acquired on another day, with a CT of their own that is registered to the base CT and then left aside.

    Attributes:
        name: Of its folder, ``sessionsTr/NAME``.
        channels: Names of the channels that lie on its CT.
        transform: How its CT is brought onto the base CT.
    """

    name: str
    channels: tuple[str, ...]
    transform: TransformKind = "rigid"


@dataclass(frozen=True)
class Dataset:
    """What `dataset.json` says.

    Attributes:
        name: Short name; the folder is ``Dataset<ID>_<name>``.
        channels: File number = position; ``CASE_0000`` is the base image on whose grid everything lives.
        classes: Class names, lowest grade first where ``classes_ordered``.
        regions: Labels of the region maps; may be empty.
        file_ending: ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.mha``.
        sessions: Where channels come from more than one session; each channel in at most one of these, others share
            the base image's.
        left_right_symmetric: Whether a left-right mirrored body is a plausible one (lungs, limbs: yes; liver: no).
        covariates: Columns of the label table that teachers, and by choice the student, see beside the images.
        description, source, licence: For people.
    """

    name: str
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    regions: tuple[Region, ...] = ()
    classes_ordered: bool = False
    file_ending: str = ".nii.gz"
    left_right_symmetric: bool = False
    description: str = ""
    source: str = ""
    licence: str = ""
    sessions: tuple[Session, ...] = ()
    covariates: tuple[Covariate, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_safe_name(self.name, "dataset name")
        if not self.channels or self.channels[0].role not in BASE_ROLES:
            raise ValueError(f"the first channel must have role {' or '.join(BASE_ROLES)}")
        if len(self.channels) > 8:
            raise ValueError(f"{len(self.channels)} channels, at most 8 are supported")
        if sum(c.role in BASE_ROLES for c in self.channels) != 1:
            raise ValueError("exactly one channel may have role ct or binary_mask")
        if len(self.classes) < 2:
            raise ValueError(f"classes {list(self.classes)}, expected at least two")
        for what, names in (
            ("channel names", [c.name for c in self.channels]),
            ("class names", list(self.classes)),
            ("region names", [r.name for r in self.regions]),
            ("region values", [r.value for r in self.regions]),
            ("covariate names", [c.name for c in self.covariates]),
            ("session names", [s.name for s in self.sessions]),
            ("channels of sessions", [c for s in self.sessions for c in s.channels]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} {names} are not unique")
        if any(not 1 <= r.value <= 255 for r in self.regions):
            raise ValueError("region values must lie in 1…255 (0 is background)")
        self._check_sessions()
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, this release reads {SCHEMA_VERSION}")

    def _check_sessions(self) -> None:
        known = [c.name for c in self.channels[1:]]
        for session in self.sessions:
            check_safe_name(session.name, "session name")
            if not session.channels:
                raise ValueError(f"session {session.name!r} has no channels, expected some of {', '.join(known)}")
            for name in session.channels:
                if name not in known:
                    expected = f"expected some of {', '.join(known)} (the base image has its own CT)"
                    raise ValueError(f"session {session.name!r} has the channel {name!r}, {expected}")
        if self.sessions and self.base.role != "ct":
            raise ValueError("sessions are registered by their CTs: the first channel must have role ct")

    @property
    def base(self) -> Channel:
        """The channel that every case has and that prediction needs."""
        return self.channels[0]

    @property
    def privileged(self) -> tuple[int, ...]:
        """Indices of the channels that teachers see, and a student only where it is asked to."""
        return tuple(range(1, len(self.channels)))

    def session_of(self, channel: int) -> Session | None:
        """The session that a channel comes from; None for the base image's own."""
        return next((s for s in self.sessions if self.channels[channel].name in s.channels), None)

    def region_values(self, role: RegionRole) -> tuple[int, ...]:
        """Voxel values of all regions with this role."""
        return tuple(r.value for r in self.regions if r.role == role)

    @property
    def decisive_values(self) -> tuple[int, ...]:
        """Values of the regions without which nothing is classified by its regions: lesions, else organs."""
        return self.region_values("lesion") or self.region_values("organ")

    def channel_index(self, name: str) -> int:
        """Position of a channel by name.

        Raises:
            UserError: No such channel.
        """
        names = [c.name for c in self.channels]
        if name not in names:
            raise UserError(f"channel {name!r} is unknown, expected one of {', '.join(names)}.")
        return names.index(name)


@dataclass(frozen=True)
class LabelledCase:
    """One row of a label table; ``label`` is a class index, or None for an ungraded case; ``site`` may be empty."""

    case: str
    patient: str
    label: int | None
    site: str = ""


def check_safe_name(name: str, what: str) -> None:
    """Refuse names that could leave their folder or break a file system.

    Raises:
        ValueError: Empty, starting with a dot, or with characters other than letters, digits, ``_ - .``.
    """
    if not name or name.startswith(".") or not set(name) <= SAFE_CHARACTERS:
        raise ValueError(f"{what} {name!r} may hold only letters, digits, '_', '-', '.' and not begin with '.'")


def read_dataset(folder: Path) -> Dataset:
    """Read ``dataset.json`` of a raw dataset, preprocessed dataset or model folder."""
    return read_document(Dataset, Path(folder) / "dataset.json")


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write ``dataset.json``."""
    write_json(Path(folder) / "dataset.json", dataset)


def read_labels(path: Path, classes: tuple[str, ...]) -> list[LabelledCase]:
    """Read a label table: ``case``, ``patient`` (default: the case), ``label`` (class name or empty), any ``site``.

    Raises:
        UserError: As `reactkd_auto.tables.read_csv`; an unsafe or duplicate case, an unknown class.
    """
    rows = enumerate(read_csv(path, ("case", "label")), start=2)
    cases = [_labelled_case(path, line, row, classes) for line, row in rows]
    seen: set[str] = set()
    for case in cases:
        if case.case in seen:
            raise UserError(f"{path}: case {case.case!r} stands in more than one row, expected one row a case.")
        seen.add(case.case)
    return cases


def write_labels(path: Path, cases: Iterable[LabelledCase], classes: tuple[str, ...]) -> None:
    """Write a label table that `read_labels` reads; a column ``site`` where any case has one."""
    rows = list(cases)
    with_sites = any(c.site for c in rows)
    cells = []
    for c in rows:
        label = "" if c.label is None else classes[c.label]
        cells.append([c.case, c.patient, label, *([c.site] if with_sites else [])])
    write_text(path, csv_text(["case", "patient", "label", *(["site"] if with_sites else [])], cells))


def _labelled_case(path: Path, line: int, row: dict[str, str], classes: tuple[str, ...]) -> LabelledCase:
    case, label = row["case"], row["label"]
    try:
        check_safe_name(case, "case")
    except ValueError as error:
        raise UserError(f"{path}, line {line}: {error}.") from None
    if label and label not in classes:
        raise UserError(f"{path}, line {line}: unknown class {label!r}, expected {', '.join(classes)} or empty.")
    patient = row.get("patient") or case
    return LabelledCase(case, patient, classes.index(label) if label else None, row.get("site", ""))


def channel_path(images: Path, case: str, channel: int, file_ending: str) -> Path:
    """Path of one channel of one case: ``images/CASE_0000.nii.gz``."""
    return Path(images) / f"{case}_{channel:04d}{file_ending}"


def region_path(regions: Path, case: str, file_ending: str) -> Path:
    """Path of a case's region map: ``regions/CASE.nii.gz``."""
    return Path(regions) / f"{case}{file_ending}"


def sidecar_path(images: Path, case: str) -> Path:
    """Path of what is known of how a case's CT was acquired: ``images/CASE_0000.json``, in dcm2niix's keys."""
    return Path(images) / f"{case}_0000.json"


def session_ct_path(sessions: Path, session: str, case: str, file_ending: str) -> Path:
    """Path of a session's CT: ``sessions/SESSION/CASE_ct.nii.gz``."""
    return Path(sessions) / session / f"{case}_ct{file_ending}"


def session_region_path(sessions: Path, session: str, case: str, file_ending: str) -> Path:
    """Path of the region map of a session's CT: ``sessions/SESSION/CASE_regions.nii.gz``."""
    return Path(sessions) / session / f"{case}_regions{file_ending}"
