"""A fingerprint that tells no patient: what prediction and the model card need of the cohort, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import CaseFingerprint, Fingerprint
from reactkd_auto.jsonio import content_hash

SHORTEST_IDENTIFIER = 3
"""Shorter names of cases, such as ``a`` or ``7``, are found in any document."""


def pseudonymous(fingerprint: Fingerprint) -> Fingerprint:
    """Cases as ``case_0001`` …, patients as ``patient_0001`` …, in an order that follows from the measurements alone.

    Hashes of input files go (they would tell whether a scan was in the cohort), remarks go (free text), hashes of
    pooled CTs go, names of institutions go.
    """
    bare = [(_without_identity(c), c.patient) for c in fingerprint.cases]
    bare.sort(key=lambda pair: content_hash(pair[0]))
    patients: dict[str, str] = {}
    for _, patient in bare:
        patients.setdefault(patient, f"patient_{len(patients) + 1:04d}")
    cases = tuple(
        replace(case, case=f"case_{number:04d}", patient=patients[patient])
        for number, (case, patient) in enumerate(bare, start=1)
    )
    return replace(fingerprint, cases=cases)


def check_no_identifier(name: str, document: Any, fingerprint: Fingerprint) -> None:
    """Check that no text in a document, and no key, is the name of a case or a patient of the cohort.

    Raises:
        UserError: One is.
    """
    identifiers = {i for c in fingerprint.cases for i in (c.case, c.patient) if len(i) >= SHORTEST_IDENTIFIER}
    for text in _texts(document):
        if text in identifiers:
            raise UserError(f"{name}: names a case or patient of the cohort, expected none; it can't be handed on.")


def _without_identity(case: CaseFingerprint) -> CaseFingerprint:
    dose = None if case.dose is None else replace(case.dose, pooled_hash="")
    scan = None if case.scan is None else replace(case.scan, site="")
    return replace(case, case="", patient="", input_hash="", flags=(), dose=dose, scan=scan, site="")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
