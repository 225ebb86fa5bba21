"""`report.html`: one file that opens from disk, without a network, and shows every case's answer and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactkd_auto.inference.results import CaseResult
from reactkd_auto.jsonio import write_text
from reactkd_auto.pages import data_url, render

EMBEDDED_PICTURES = 50
"""More pictures than this are linked instead of embedded: a page of hundreds of megabytes opens nowhere."""
TEMPLATE = Path(__file__).parent / "templates" / "report.html"
CLASS_COLOURS = ("#3b7ddd", "#e08a1e", "#2f9e73", "#b0569c", "#8a6d3b", "#5b6b7b")


@dataclass(frozen=True)
class ModelFacts:
    """What the report says about the model.

    Attributes:
        title: Name of the dataset that it was trained on.
        rows: (what, value) pairs, in the order in which they are shown.
        warnings: What a reader must know about this model.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


def write_report(
    output: Path, results: Sequence[CaseResult], classes: Sequence[str], facts: ModelFacts, *, explained: bool
) -> Path:
    """Write ``output/report.html`` from the answers and the pictures in ``output/pictures``."""
    embed = sum(r.picture for r in results) <= EMBEDDED_PICTURES
    colours = {c: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, c in enumerate(classes)}
    page = render(
        TEMPLATE,
        results=results,
        counts=_counts(results),
        classes=classes,
        colours=colours,
        facts=facts,
        pictures={r.case: _picture(output, r.case, embed=embed) for r in results if r.picture},
        widest={r.case: _largest_importance(r) for r in results},
        explained=explained,
    )
    path = Path(output) / "report.html"
    write_text(path, page)
    return path


def _counts(results: Sequence[CaseResult]) -> Mapping[str, int]:
    return {s: sum(r.status == s for r in results) for s in ("classified", "not classified", "failed")}


def _picture(output: Path, case: str, *, embed: bool) -> str:
    """A data URL, or a relative link."""
    relative = f"pictures/{case}.png"
    return data_url(Path(output) / relative) if embed else relative


def _largest_importance(result: CaseResult) -> float:
    """Length of the longest bar of a case's region table."""
    return max((abs(row.importance or 0.0) for row in result.regions), default=0.0) or 1.0


def describe_model(*, plan: Any, dataset: Any, config: Any, folds: Sequence[int], fingerprint: Any) -> ModelFacts:
    """Facts about a model for the report.

    Args:
        plan, dataset, config: Of the model folder.
        folds: Folds that were averaged.
        fingerprint: Of the training cohort, or None where the model folder has none.
    """
    rows = [("trained on", dataset.name)]
    if fingerprint is not None:
        graded = [c for c in fingerprint.cases if c.label is not None]
        shares = ", ".join(f"{sum(c.label == i for c in graded)} {name}" for i, name in enumerate(dataset.classes))
        patients = len({c.patient for c in fingerprint.cases})
        rows.append(("cohort", f"{len(fingerprint.cases)} cases of {patients} patients; graded: {shares}"))
    extent = " × ".join(f"{s * n:.0f}" for s, n in zip(plan.spacing_mm, plan.patch_size, strict=True))
    privileged = ", ".join(dataset.channels[i].name for i in dataset.privileged) or "none"
    rows += [
        ("looks at", ", ".join(config.channels)),
        ("channels only its teachers saw", privileged if config.preset != "baseline" else "none (baseline preset)"),
        ("folds averaged", ", ".join(map(str, folds)) + f" of {plan.folds}"),
        ("preset, seed", f"{config.preset}, {config.seed}"),
        ("spacing z × y × x", " × ".join(f"{s:g}" for s in plan.spacing_mm) + " mm"),
        ("field of view z × y × x", f"{extent} mm"),
        ("plan", f"{plan.name}, {plan.hash}"),
    ]
    if dataset.source:
        rows.append(("source of the cohort", dataset.source))
    warnings = []
    if fingerprint is not None and len(fingerprint.cases) < 100:
        warnings.append(f"Trained on {len(fingerprint.cases)} cases only: expect wide error margins.")
    if len(folds) < plan.folds:
        warnings.append(f"{len(folds)} of {plan.folds} folds are averaged: the spread between folds is underestimated.")
    return ModelFacts(dataset.name, tuple(rows), tuple(warnings))
