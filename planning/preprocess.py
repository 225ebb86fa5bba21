"""Preprocesses every case by the plan; cases whose files and plan are unchanged are kept."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reactkd_auto.cases import read_properties, write_case
from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.jsonio import content_hash
from reactkd_auto.plan import Plan, read_plan
from reactkd_auto.planning.dose import calibration_of, noise_flags
from reactkd_auto.planning.rooms import Rooms
from reactkd_auto.preprocessing import NoiseSource, preprocess_case
from reactkd_auto.registration.load import load_registered

PREPROCESSING_VERSION = 2
"""Raised when preprocessing changes its results, so that stored cases are made again."""

logger = logging.getLogger(__name__)


def plan_parts(plan: Plan) -> dict[str, Any]:
    """What of a plan a preprocessed case depends on."""
    return {
        "spacing_mm": plan.spacing_mm,
        "patch_size": plan.patch_size,
        "context_voxels": plan.context_voxels,
        "normalisation": {name: [n.scheme, n.storage_scale] for name, n in plan.normalisation.items()},
        "graph": plan.graph,
        "dose": plan.dose,
        "localiser": [plan.localiser.enabled, plan.localiser.spacing_mm],
        "seed": plan.seed if plan.dose.enabled else 0,
    }


def case_hash(case: CaseFingerprint, plan: Plan) -> str:
    """Identity of a preprocessed case: its files, its row in the label table, its noise, and the plan's parts."""
    noise = case.dose if plan.dose.enabled else None
    return content_hash([PREPROCESSING_VERSION, case.input_hash, case.patient, case.label, noise, plan_parts(plan)])


def outdated_cases(cases: Sequence[CaseFingerprint], plan: Plan, folder: Path) -> list[CaseFingerprint]:
    """Cases that are not in ``folder``, or whose files or plan have changed since."""
    return [case for case in cases if not _is_current(case, plan, folder)]


def update_cases(
    cases: Sequence[CaseFingerprint],
    plan: Plan,
    dataset: Dataset,
    rooms: Rooms,
    *,
    execution: Execution,
) -> dict[str, str]:
    """Make what is missing or out of date, remove what is no longer used; a sentence for each case that failed."""
    old = _existing_plan(rooms.plan_file)
    outdated = outdated_cases(cases, plan, rooms.cases)
    gone = sorted({p.stem for p in rooms.cases.glob("[!.]*.json")} - {c.case for c in cases})
    if outdated or gone:
        rooms.plan_file.unlink(missing_ok=True)  # comes back last: a plan always stands for finished cases
        rooms.plan_file.with_suffix(".html").unlink(missing_ok=True)
    if gone:
        logger.info("Removed %d preprocessed cases that are no longer used, for instance %s.", len(gone), gone[0])
        remove_cases(gone, rooms.cases)
    changed = changed_parts(old, plan) if old else []
    why = f" (the plan changed: {', '.join(changed)})" if changed else ""
    kept = len(cases) - len(outdated)
    logger.info("Preprocessing %d cases that are new or out of date%s, keeping %d.", len(outdated), why, kept)
    failed = preprocess_cases(outdated, plan, dataset, rooms, execution=execution)
    return {case: failure.sentence for case, failure in failed.items()}


def mention_flags(cases: Sequence[str], folder: Path) -> None:
    """Say how many cases carry a sentence that a person should read, and the first of them."""
    flagged = [(case, flags) for case in cases if (flags := read_properties(folder, case).flags)]
    if flagged:
        case, flags = flagged[0]
        logger.info(
            "%d of %d cases carry remarks (flags in %s/CASE.json), for instance %s: %s",
            len(flagged),
            len(cases),
            folder,
            case,
            flags[0],
        )


def preprocess_cases(
    cases: Sequence[CaseFingerprint],
    plan: Plan,
    dataset: Dataset,
    rooms: Rooms,
    *,
    execution: Execution,
) -> dict[str, CaseFailure]:
    """Preprocess these cases into their room; returns those that failed, all others are finished."""
    work = partial(_preprocess, plan=plan, dataset=dataset, rooms=rooms)
    results = map_cases(work, cases, execution=execution, what="preprocessing", name=lambda c: c.case)
    return {case.case: result for case, result in results if isinstance(result, CaseFailure)}


def remove_cases(names: Sequence[str], folder: Path) -> None:
    """Remove preprocessed cases, properties first, so that none is ever half there."""
    for name in names:
        for file in (f"{name}.json", f"{name}.b2nd", f"{name}_coarse.b2nd"):
            (folder / file).unlink(missing_ok=True)


def changed_parts(old: Plan, new: Plan) -> list[str]:
    """Names of the plan's parts that differ and that preprocessed cases depend on."""
    before, after = plan_parts(old), plan_parts(new)
    return [name for name in after if content_hash(before[name]) != content_hash(after[name])]


def noise_seed(plan: Plan, case: str) -> int:
    """Seed of a case's noise, the same wherever and in whatever order cases are made."""
    return int(content_hash([plan.seed, case])[:12], 16)


def _preprocess(case: CaseFingerprint, *, plan: Plan, dataset: Dataset, rooms: Rooms) -> None:
    remove_cases([case.case], rooms.cases)
    raw, _ = load_registered(rooms.raw, dataset, case.case, store=rooms.store, key=case.input_hash)
    done = preprocess_case(
        raw,
        plan=plan,
        dataset=dataset,
        patient=case.patient,
        label=case.label,
        input_hash=case_hash(case, plan),
        noise=_noise_source(case, plan),
    )
    properties = dataclasses.replace(done.properties, flags=(*case.flags, *done.properties.flags))
    write_case(rooms.cases, dataclasses.replace(done, properties=properties), chunk=plan.patch_size)


def _noise_source(case: CaseFingerprint, plan: Plan) -> NoiseSource | None:
    calibration = calibration_of(case)
    if calibration is None:
        return None
    return NoiseSource(calibration, noise_seed(plan, case.case), noise_flags(case))


def _is_current(case: CaseFingerprint, plan: Plan, folder: Path) -> bool:
    names = [f"{case.case}.b2nd", *([f"{case.case}_coarse.b2nd"] if plan.localiser.enabled else [])]
    if not all((folder / name).is_file() for name in [*names, f"{case.case}.json"]):
        return False
    try:
        return read_properties(folder, case.case).input_hash == case_hash(case, plan)
    except UserError:  # written by another release, or damaged: made again
        return False


def _existing_plan(path: Path) -> Plan | None:
    try:
        return read_plan(path) if path.is_file() else None
    except UserError:  # of another release: everything that depends on it is made again
        return None
