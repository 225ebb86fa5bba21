"""Sessions of a cohort: how well their CTs lie on the base CTs, before and after, and a few to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reactkd_auto.fingerprint import CaseFingerprint, Registration, RegistrationQuality
from reactkd_auto.pages import data_url
from reactkd_auto.registration.store import picture_path

MOST_ROWS = 20
MOST_PICTURES = 4


@dataclass(frozen=True)
class Row:
    """One session of one case, in words; ``picture`` is a data URL, empty for most."""

    case: str
    session: str
    outcome: str
    moved: str
    overlap: str
    information: str
    dice: str
    correlation: str
    picture: str


@dataclass(frozen=True)
class Registrations:
    """What the page shows: a sentence, and the sessions with the poorest fit first."""

    summary: str
    rows: tuple[Row, ...]


def registrations(cases: Sequence[CaseFingerprint], store: Path) -> Registrations | None:
    """The refused sessions and those that fit least, at most 20; pictures of the first few. None without sessions."""
    found = [(case.case, record) for case in cases for record in case.registrations]
    if not found:
        return None
    found.sort(key=lambda pair: (not pair[1].refusal, _fit(pair[1]), pair[0], pair[1].session))
    rows = tuple(
        _row(case, record, store, drawn=i < MOST_PICTURES) for i, (case, record) in enumerate(found[:MOST_ROWS])
    )
    return Registrations(_summary([record for _, record in found], len(rows)), rows)


def _fit(record: Registration) -> float:
    return record.quality.correlation if record.quality else -1.0


def _summary(records: Sequence[Registration], shown: int) -> str:
    used = [r.quality for r in records if not r.refusal and r.quality]
    refused = len(records) - len(used)
    parts = [f"{len(records)} sessions: {len(used)} registered, {refused} refused."]
    if used:
        before, after = (
            float(np.median([getattr(q, f"information_{when}") for q in used])) for when in ("before", "after")
        )
        parts.append(f"Median mutual information with the base CT {before:.2f} before and {after:.2f} after.")
    if shown < len(records):
        parts.append(f"Shown are the refused ones and those that fit least, {shown} in all.")
    return " ".join(parts)


def _row(case: str, record: Registration, store: Path, *, drawn: bool) -> Row:
    quality = record.quality
    outcome = (
        f"refused: {record.refusal}" if record.refusal else record.transform.replace("_bspline", ", then B-splines")
    )
    if quality is None:
        return Row(case, record.session, outcome, "–", "–", "–", "–", "–", "")
    path = picture_path(store, record.session, case)
    return Row(
        case=case,
        session=record.session,
        outcome=outcome,
        moved=f"{math.hypot(*quality.shift_mm):.1f} mm, {quality.rotation_degrees:.1f}°",
        overlap=f"{quality.overlap:.0%}",
        information=f"{quality.information_before:.2f} → {quality.information_after:.2f}",
        dice=_dice(quality),
        correlation=f"{quality.correlation:.2f}",
        picture=data_url(path) if drawn and path.is_file() else "",
    )


def _dice(quality: RegistrationQuality) -> str:
    if quality.dice_before is None or quality.dice_after is None:
        return "–"
    return f"{quality.dice_before:.2f} → {quality.dice_after:.2f}"
