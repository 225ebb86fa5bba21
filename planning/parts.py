"""A dataset planned and preprocessed in parts, each by a process of its own, for instance of a SLURM array.

Every part measures its share and leaves a record. Once all records are there, each part makes the same plan of them
and preprocesses its share; only the run without parts, at the end, writes the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, LabelledCase
from reactkd_auto.execution.parts import Part
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.jsonio import content_hash, read_document, write_json
from reactkd_auto.planning.fingerprint import MEASUREMENT_VERSION, measured_before


@dataclass(frozen=True)
class Record:
    """That a part has measured its share.

    Attributes:
        cohort: Hash of the label table, the channels and the release.
        failures: Cases that cannot be used, and why.
    """

    cohort: str
    failures: Mapping[str, str]


def write_record(
    store: Path, part: Part, rows: Sequence[LabelledCase], dataset: Dataset, failures: Mapping[str, str]
) -> None:
    """Say that a part's share is measured."""
    write_json(_path(store, part), Record(_cohort(rows, dataset), failures))


def missing_parts(store: Path, count: int, rows: Sequence[LabelledCase], dataset: Dataset) -> list[int]:
    """Numbers of the parts that have not measured their share of this cohort yet."""
    return [k for k in range(count) if _read(store, Part(k, count), rows, dataset) is None]


def gather(
    store: Path, count: int, rows: Sequence[LabelledCase], dataset: Dataset
) -> tuple[list[CaseFingerprint], dict[str, str]]:
    """What all parts measured, in the order of the table, and why other cases cannot be used."""
    records = [_read(store, Part(k, count), rows, dataset) for k in range(count)]
    failures = {case: why for record in records if record for case, why in record.failures.items()}
    return [measured_before(row, store=store) for row in rows if row.case not in failures], failures


def _path(store: Path, part: Part) -> Path:
    return store / "parts" / f"{part.number}_of_{part.count}.json"


def _cohort(rows: Sequence[LabelledCase], dataset: Dataset) -> str:
    return content_hash([MEASUREMENT_VERSION, rows, dataset])


def _read(store: Path, part: Part, rows: Sequence[LabelledCase], dataset: Dataset) -> Record | None:
    path = _path(store, part)
    if not path.is_file():
        return None
    record = read_document(Record, path)
    return record if record.cohort == _cohort(rows, dataset) else None
