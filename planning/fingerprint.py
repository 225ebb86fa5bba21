"""Measures a case: every property function in turn."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, region_path, sidecar_path
from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.imageio import RawCase
from reactkd_auto.jsonio import content_hash, read_document, write_json
from reactkd_auto.planning.alignment import alignments, case_flags
from reactkd_auto.planning.dose import evidence_path, measure_dose
from reactkd_auto.planning.properties import Property, body, channels, geometry, intensities
from reactkd_auto.planning.region_properties import regions
from reactkd_auto.planning.sidecar import read_sidecar
from reactkd_auto.planning.uptake import uptake
from reactkd_auto.registration.files import SESSIONS, session_files
from reactkd_auto.registration.load import REGISTRATION_VERSION, load_registered

MEASUREMENT_VERSION = 6
"""Raised when a property changes its meaning, so that stored measurements are made again."""
PROPERTIES: tuple[Property, ...] = (geometry, body, channels, intensities, regions, uptake, alignments)


def measure_case(raw: RawCase, dataset: Dataset, labelled: LabelledCase, *, input_hash: str) -> CaseFingerprint:
    """Everything that planning wants to know about a case."""
    measured: dict[str, Any] = {}
    for measure in PROPERTIES:
        measured |= measure(raw, dataset)
    return CaseFingerprint(labelled.case, labelled.patient, labelled.label, input_hash, **measured)


def fingerprint_case(labelled: LabelledCase, *, raw: Path, dataset: Dataset, store: Path) -> CaseFingerprint:
    """Measure a case of a raw dataset, or take what ``store`` holds if its files are still the same.

    Raises:
        UserError: A file of the case is missing or cannot be used.
    """
    path = store / f"{labelled.case}.json"
    files = input_hash(raw, dataset, labelled.case)
    has_noise = dataset.base.role == "ct"
    if (known := _stored(path, files)) and (not has_noise or evidence_path(store, labelled.case).is_file()):
        return _labelled(known, labelled)
    images, registrations = load_registered(raw, dataset, labelled.case, store=store, key=files)
    measured = measure_case(images, dataset, labelled, input_hash=files)
    measured = dataclasses.replace(
        measured,
        registrations=registrations,
        flags=case_flags(measured.alignments, registrations),
        scan=read_sidecar(sidecar_path(raw / "imagesTr", labelled.case)),
        dose=measure_dose(images, store) if has_noise else None,
    )
    write_json(path, measured)
    return _labelled(measured, labelled)


def measured_before(labelled: LabelledCase, *, store: Path) -> CaseFingerprint:
    """What ``store`` holds of a case that `fingerprint_case` has measured.

    Raises:
        UserError: It holds nothing, or of another release.
    """
    return _labelled(read_document(CaseFingerprint, store / f"{labelled.case}.json"), labelled)


def _labelled(case: CaseFingerprint, row: LabelledCase) -> CaseFingerprint:
    """The case as the label table has it now; its site from the sidecar where the table does not say it."""
    site = row.site or (case.scan.site if case.scan else "")
    return dataclasses.replace(case, patient=row.patient, label=row.label, site=site)


def input_hash(raw: Path, dataset: Dataset, case: str) -> str:
    """SHA-256 (first 16 hex digits) of the case's files and of what ``dataset.json`` says about them."""
    says = [MEASUREMENT_VERSION, dataset.channels, dataset.regions]
    if dataset.sessions:
        says += [REGISTRATION_VERSION, dataset.sessions]
    digest = hashlib.sha256(content_hash(says).encode(), usedforsecurity=False)
    paths = [channel_path(raw / "imagesTr", case, i, dataset.file_ending) for i in range(len(dataset.channels))]
    regions_of_case = region_path(raw / "regionsTr", case, dataset.file_ending)
    sessions = session_files(raw / SESSIONS["imagesTr"], dataset, case)
    for path in [*paths, regions_of_case, sidecar_path(raw / "imagesTr", case), *sessions]:
        digest.update(b"\0file" if path.is_file() else b"\0none")
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _stored(path: Path, files: str) -> CaseFingerprint | None:
    if not path.is_file():
        return None
    try:
        known = read_document(CaseFingerprint, path)
    except UserError:  # written by another release, or damaged: measured again
        return None
    return known if known.input_hash == files else None
