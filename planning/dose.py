"""Noise of each CT: measured with the other properties of a case, then pooled where one CT alone says too little."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reactkd_auto.dose.calibration import calibrate_evidence, calibrate_group
from reactkd_auto.dose.departure import departures
from reactkd_auto.dose.evidence import NoiseEvidence, gather, read_evidence, write_evidence
from reactkd_auto.dose.parameters import DoseCalibration
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.fingerprint import LOW_DOSES, CaseFingerprint, DoseMeasurement
from reactkd_auto.imageio import RawCase
from reactkd_auto.jsonio import content_hash, from_plain, to_plain, write_json
from reactkd_auto.planning.noise_groups import is_weak, noise_groups

logger = logging.getLogger(__name__)


def measure_dose(raw: RawCase, store: Path) -> DoseMeasurement:
    """Calibrate one CT by itself, and keep what it says about its noise for its group."""
    evidence = gather(axial_stack(raw.images[0]))
    write_evidence(evidence_path(store, raw.case), evidence)
    return _measurement(evidence, calibrate_evidence(evidence))


def evidence_path(store: Path, case: str) -> Path:
    """Where a case's patches are kept."""
    return store / f"{case}_noise.npz"


def pool_noise(cases: Sequence[CaseFingerprint], store: Path, *, execution: Execution) -> list[CaseFingerprint]:
    """Calibrate CTs that cannot stand on their own with their group; what is up to date is kept.

    A group whose pooling fails keeps what its CTs say by themselves.
    """
    groups = [_Group(tuple(g), _hash(g)) for g in noise_groups(cases)]
    grouped = {c.case for g in groups for c in g.weak}
    alone = [_Group((c,), "") for c in cases if c.dose is not None and c.case not in grouped]
    outdated = [g for g in (*groups, *alone) if not g.is_current]
    pooled: dict[str, CaseFingerprint] = {}
    work = partial(_pool, store=store)
    for group, result in map_cases(
        work, outdated, execution=execution, what="pooling noise", name=lambda g: g.cases[0].case
    ):
        if isinstance(result, CaseFailure):
            logger.warning("Noise of %d CTs is not pooled: %s", len(group.cases), result.sentence)
        else:
            pooled |= {c.case: c for c in result}
    return [pooled.get(c.case, c) for c in cases]


@dataclasses.dataclass(frozen=True)
class _Group:
    """CTs measured together, or one (with an empty hash) that stands on its own."""

    cases: tuple[CaseFingerprint, ...]
    hash: str

    @property
    def weak(self) -> list[CaseFingerprint]:
        """Those whose calibration is the group's; the others only help."""
        return [c for c in self.cases if not self.hash or (c.dose is not None and is_weak(c.dose))]

    @property
    def is_current(self) -> bool:
        return all(c.dose is not None and c.dose.pooled_hash == self.hash for c in self.weak)


def _hash(cases: Sequence[CaseFingerprint]) -> str:
    return content_hash([[c.case, c.input_hash] for c in cases])


def _pool(group: _Group, *, store: Path) -> list[CaseFingerprint]:
    evidence = [_evidence(store, c.case) for c in group.cases]
    exposures = [c.scan.exposure_mas if c.scan else None for c in group.cases]
    found = calibrate_group(evidence, exposures) if group.hash else [calibrate_evidence(evidence[0])]
    done = []
    for case, e, calibration in zip(group.cases, evidence, found, strict=True):
        if case in group.weak:
            dose = dataclasses.replace(_measurement(e, calibration), pooled=len(evidence), pooled_hash=group.hash)
            done.append(dataclasses.replace(case, dose=dose))
            write_json(store / f"{case.case}.json", done[-1])
    return done


def _evidence(store: Path, case: str) -> NoiseEvidence:
    path = evidence_path(store, case)
    try:
        return read_evidence(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it and {case}.json to measure again.") from None


def _measurement(evidence: NoiseEvidence, calibration: DoseCalibration) -> DoseMeasurement:
    return DoseMeasurement(
        calibration=to_plain(calibration),
        departures=tuple(round(d, 3) for d in departures(evidence, calibration, LOW_DOSES)),
        sharpness=evidence.sharpness,
        patches=len(evidence),
        noise_hu=evidence.sd_hu if len(evidence) else None,
    )


def calibration_of(case: CaseFingerprint) -> DoseCalibration | None:
    """The calibration that a case's fingerprint holds."""
    if case.dose is None:
        return None
    return from_plain(DoseCalibration, case.dose.calibration, where=f"fingerprint of {case.case}: dose")


def noise_flags(case: CaseFingerprint) -> tuple[str, ...]:
    """Sentences about how far the noise of a case can be trusted."""
    calibration = calibration_of(case)
    if case.dose is None or calibration is None:
        return ()
    flags = []
    if case.scan is not None and case.scan.iterative:
        flags.append(
            f"The sidecar names an iterative or learned reconstruction ({case.scan.kernel or 'no kernel named'}): "
            "noise of lower doses is that of filtered back-projection."
        )
    if calibration.fallback and not case.dose.pooled_hash:
        flags.append(f"Noise of lower doses rests on a preset: {calibration.fallback}.")
    elif calibration.fallback:
        flags.append(f"Noise of lower doses is not this CT's own: {calibration.fallback}.")
    elif not calibration.patches:
        flags.append(
            "Noise of lower doses is not this CT's own: it has no homogeneous soft tissue; kernel and flux are typical "
            "of the CTs of its kind."
        )
    if calibration.ellipse_mm:
        height, width = (2 * a for a in calibration.ellipse_mm)
        flags.append(
            f"The CT is a crop: outside of it a body of water of {height:.0f} × {width:.0f} mm is assumed, "
            "so noise near photon starvation is uncertain."
        )
    return tuple(flags)
