"""Measures every case of the label table; cases that cannot be used are set apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reactkd_auto.covariates import read_covariates
from reactkd_auto.dataset import Dataset, LabelledCase, read_labels
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.imageio import list_cases
from reactkd_auto.planning.fingerprint import fingerprint_case
from reactkd_auto.planning.leaks import check_test_part, find_copies

logger = logging.getLogger(__name__)


def read_rows(raw: Path, dataset: Dataset) -> list[LabelledCase]:
    """The label table; images that it does not name are mentioned.

    Raises:
        UserError: The table can't be used, or a patient is in the test part too.
    """
    rows = read_labels(raw / "labelsTr.csv", dataset.classes)
    if dataset.covariates:
        read_covariates(raw / "labelsTr.csv", dataset.covariates)  # its faults are told before the work begins
    check_test_part(raw, dataset, rows)
    unnamed = set(list_cases(raw, dataset)) - {row.case for row in rows}
    if unnamed:
        logger.warning(
            "%s: %d images have no row and are not used, for instance %s; an empty label means ungraded.",
            raw / "labelsTr.csv",
            len(unnamed),
            min(unnamed),
        )
    return rows


def measure_cases(
    rows: Sequence[LabelledCase],
    dataset: Dataset,
    *,
    raw: Path,
    store: Path,
    execution: Execution,
) -> tuple[list[CaseFingerprint], dict[str, str]]:
    """Fingerprints of the cases that can be read, and for each other case a sentence that says why."""
    work = partial(fingerprint_case, raw=raw, dataset=dataset, store=store)
    measured: list[CaseFingerprint] = []
    failures: dict[str, str] = {}
    for row, result in map_cases(work, rows, execution=execution, what="measuring", name=lambda r: r.case):
        if isinstance(result, CaseFailure):
            failures[row.case] = result.sentence
        else:
            measured.append(result)
    logger.info("Measured %d of %d cases.", len(measured), len(rows))
    return measured, failures


def usable_cases(
    measured: Sequence[CaseFingerprint], failures: dict[str, str], dataset: Dataset, raw: Path
) -> tuple[list[CaseFingerprint], dict[str, str]]:
    """Leaves out copies of other cases, with a sentence each.

    Raises:
        UserError: No case is usable.
    """
    if not measured:
        case, why = next(iter(failures.items()))
        raise UserError(f"{raw}: none of {len(failures)} cases can be used; the first: {case}: {why}")
    copies = find_copies(measured, raw, dataset)
    return [case for case in measured if case.case not in copies], failures | copies
