"""Preprocesses every case by the plan; cases whose files and plan are unchanged are kept."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reactkd_auto.cases import read_case, read_properties, write_case, write_properties
from reactkd_auto.dataset import Dataset
from reactkd_auto.execution import BYTES_PER_WORKER, CaseFailure, Execution, map_cases
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.jsonio import content_hash
from reactkd_auto.plan import Plan
from reactkd_auto.planning.dose import calibration_of, noise_flags
from reactkd_auto.planning.made_of import Todo, in_words, made_of, outdated_cases
from reactkd_auto.planning.rooms import Rooms
from reactkd_auto.preprocessing import NoiseSource, StoredNoise, preprocess_case
from reactkd_auto.registration.load import load_registered

BYTES_A_CASE, BYTES_A_VOXEL = 3 * 2**29, 14
"""What a worker takes, generously: 5.0 GB were measured for a CT of 512 × 512 × 1200 with two PETs and noise fields."""

logger = logging.getLogger(__name__)


def update_cases(
    cases: Sequence[CaseFingerprint], plan: Plan, dataset: Dataset, rooms: Rooms, *, execution: Execution
) -> dict[str, str]:
    """Make what is missing or out of date, say what is kept and why; a sentence for each case that failed."""
    outdated = outdated_cases(cases, plan, rooms.cases)
    if outdated:
        remove_plan(rooms)
    logger.info("%s", in_words(outdated, len(cases) - len(outdated)))
    failed = preprocess_cases(outdated, plan, dataset, rooms, execution=execution)
    return {case: failure.sentence for case, failure in failed.items()}


def remove_unused(cases: Sequence[CaseFingerprint], rooms: Rooms) -> None:
    """Remove preprocessed cases that are none of these."""
    gone = sorted({p.stem for p in rooms.cases.glob("[!.]*.json")} - {c.case for c in cases})
    if gone:
        remove_plan(rooms)
        logger.info("Removed %d preprocessed cases that are no longer used, for instance %s.", len(gone), gone[0])
        remove_cases(gone, rooms.cases)


def remove_plan(rooms: Rooms) -> None:
    """Until all cases are done: a plan always stands for finished cases."""
    rooms.plan_file.unlink(missing_ok=True)
    rooms.plan_file.with_suffix(".html").unlink(missing_ok=True)


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
    outdated: Sequence[Todo], plan: Plan, dataset: Dataset, rooms: Rooms, *, execution: Execution
) -> dict[str, CaseFailure]:
    """Preprocess these cases into their room; returns those that failed, all others are finished."""
    work = partial(_preprocess, plan=plan, dataset=dataset, rooms=rooms)
    largest = max((math.prod(t.case.size) for t in outdated), default=0)
    room = max(BYTES_PER_WORKER, BYTES_A_CASE + BYTES_A_VOXEL * largest)
    results = map_cases(
        work, outdated, execution=execution, bytes_each=room, what="preprocessing", name=lambda t: t.case.case
    )
    return {todo.case.case: result for todo, result in results if isinstance(result, CaseFailure)}


def remove_cases(names: Sequence[str], folder: Path) -> None:
    """Remove preprocessed cases, properties first, so that none is ever half there."""
    for name in names:
        for file in (f"{name}.json", f"{name}.b2nd", f"{name}_coarse.b2nd"):
            (folder / file).unlink(missing_ok=True)


def noise_seed(plan: Plan, case: str) -> int:
    """Seed of a case's noise, the same wherever and in whatever order cases are made."""
    return int(content_hash([plan.seed, case])[:12], 16)


def _preprocess(todo: Todo, *, plan: Plan, dataset: Dataset, rooms: Rooms) -> None:
    case = todo.case
    if todo.extent == "properties":
        known = read_properties(rooms.cases, case.case)
        known = dataclasses.replace(known, patient=case.patient, label=case.label, made_of=made_of(case, plan))
        write_properties(rooms.cases, known)
        return
    noise = _known_noise(case, rooms) if todo.extent == "all but noise" else _noise_source(case, plan)
    remove_cases([case.case], rooms.cases)
    raw, _ = load_registered(rooms.raw, dataset, case.case, store=rooms.store, key=case.input_hash)
    done = preprocess_case(
        raw,
        plan=plan,
        dataset=dataset,
        patient=case.patient,
        label=case.label,
        made_of=made_of(case, plan),
        noise=noise,
    )
    properties = dataclasses.replace(done.properties, flags=(*case.flags, *done.properties.flags))
    write_case(rooms.cases, dataclasses.replace(done, properties=properties))


def _known_noise(case: CaseFingerprint, rooms: Rooms) -> StoredNoise:
    """What a case holds already."""
    properties = read_properties(rooms.cases, case.case)
    known = read_case(rooms.cases, properties)
    levels, calibration = properties.noise_levels, properties.dose_calibration
    return StoredNoise(known.noise, known.log_ratio, levels, calibration, noise_flags(case) if levels else ())


def _noise_source(case: CaseFingerprint, plan: Plan) -> NoiseSource | None:
    calibration = calibration_of(case)
    if calibration is None:
        return None
    return NoiseSource(calibration, noise_seed(plan, case.case), noise_flags(case))
