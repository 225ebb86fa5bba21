"""Which CTs share a scanner and a kernel, so that their noise may be measured together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reactkd_auto.fingerprint import CaseFingerprint, DoseMeasurement

OWN_PATCHES = 96
"""From so many patches on a CT is calibrated by itself."""
LARGEST_GAP = 0.02
"""mm⁻¹ between the sharpness of neighbours in a group; kernels differ by more, patches of one kernel by less."""
FEWEST_CASES = 2


def noise_groups(cases: Sequence[CaseFingerprint]) -> list[list[CaseFingerprint]]:
    """Groups that hold at least one CT with few patches; CTs that belong to none stand on their own.

    CTs of a group agree in whether they are crops, in scanner, kernel and tube voltage where a sidecar says them, and
    in the sharpness of their noise, which has no gap of over 0.02 mm⁻¹ inside a group. A CT without a patch joins
    where its scanner has one group only. Pixel size and slice thickness need not agree: the kernel is a matter of
    mm⁻¹, and each CT has a flux of its own.
    """
    groups = []
    for members in _alike(cases).values():
        measured = [c for c in members if _dose(c).sharpness is not None]
        clusters = _clusters(measured)
        if len(clusters) == 1:
            clusters[0] += [c for c in members if _dose(c).sharpness is None]
        groups += [g for g in clusters if len(g) >= FEWEST_CASES and any(is_weak(_dose(c)) for c in g)]
    return [sorted(g, key=lambda c: c.case) for g in groups]


def is_weak(dose: DoseMeasurement) -> bool:
    """Whether a CT alone says too little about its noise."""
    return dose.patches < OWN_PATCHES


def _alike(cases: Sequence[CaseFingerprint]) -> dict[tuple[object, ...], list[CaseFingerprint]]:
    alike: dict[tuple[object, ...], list[CaseFingerprint]] = defaultdict(list)
    for case in cases:
        if case.dose is not None:
            scan = case.scan
            said = (scan.scanner, scan.kernel, scan.kilovolts) if scan else ()
            alike[(case.dose.cropped, *said)].append(case)
    return alike


def _clusters(cases: Sequence[CaseFingerprint]) -> list[list[CaseFingerprint]]:
    """Single linkage along sharpness."""
    clusters: list[list[CaseFingerprint]] = []
    last = float("-inf")
    for case in sorted(cases, key=lambda c: (_sharpness(c), c.case)):
        if _sharpness(case) - last > LARGEST_GAP:
            clusters.append([])
        clusters[-1].append(case)
        last = _sharpness(case)
    return clusters


def _sharpness(case: CaseFingerprint) -> float:
    return _dose(case).sharpness or 0.0


def _dose(case: CaseFingerprint) -> DoseMeasurement:
    assert case.dose is not None
    return case.dose
