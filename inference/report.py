"""`report.html`: opens from disk without a network, and shows every case's answer and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactkd_auto.calibration import Calibration
from reactkd_auto.dataset import Dataset
from reactkd_auto.drawing.style import COLOURS, ROLE_COLOURS, class_colour
from reactkd_auto.drawing.windows import CT_WINDOWS, SHAPE
from reactkd_auto.evaluation.explanations import MEANINGS
from reactkd_auto.inference.explanation_checks import ExplanationChecks
from reactkd_auto.inference.graph_drawing import node_marks
from reactkd_auto.inference.report_contents import Pictures, ViewerContents, packed_niivue, shown_bytes
from reactkd_auto.inference.results import CaseResult
from reactkd_auto.jsonio import write_text
from reactkd_auto.pages import render

ONE_FILE_BYTES = 64 * 2**20
"""Volumes and pictures of this size, about 20 cases, fit into one page that browsers open with ease; if there is more,
each case has a page of its own."""
CASE_PAGES = "case_pages"
TEMPLATE = Path(__file__).parent / "templates" / "report.html"


@dataclass(frozen=True)
class ModelFacts:
    """What the report says about the model.

    Attributes:
        title: What it predicts from, and the name of the dataset that it was trained on.
        rows: (what, value) pairs, in the order in which they are shown.
        warnings: What a reader must know about this model.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


def write_report(
    output: Path,
    results: Sequence[CaseResult],
    dataset: Dataset,
    facts: ModelFacts,
    *,
    explained: bool,
    checks: ExplanationChecks | None = None,
) -> Path:
    """Write ``output/report.html`` from the answers and from what lies in ``output/pictures`` and ``output/viewer``.

    Every page is self-contained. Up to `ONE_FILE_BYTES` there is one; else ``report.html`` holds the table, and
    ``output/case_pages/CASE.html`` a case. ``checks`` are shown beside the table.
    """
    path = Path(output) / "report.html"
    common = _common(results, dataset, facts, explained=explained) | {"checks": checks, "meanings": MEANINGS}
    if sum(shown_bytes(output, r) for r in results) <= ONE_FILE_BYTES:
        links = {r.case: f"#case-{r.case}" for r in results}
        _write(path, output, common, listed=results, shown=results, links=links, up="#top")
        return path
    for result in results:
        page = Path(output) / CASE_PAGES / f"{result.case}.html"
        _write(page, output, common, listed=(), shown=(result,), links={}, up="../report.html")
    links = {r.case: f"{CASE_PAGES}/{r.case}.html" for r in results}
    _write(path, output, common, listed=results, shown=(), links=links, up="")
    return path


def _write(path: Path, output: Path, common: dict[str, Any], *, shown: Sequence[CaseResult], **values: Any) -> None:
    viewers = {r.case: ViewerContents.read(output, r.case) for r in shown if r.picture}
    pictures = {r.case: Pictures.read(output, r.case) for r in shown if r.picture}
    niivue = packed_niivue() if viewers else ""
    write_text(
        path, render(TEMPLATE, **common, shown=shown, viewers=viewers, pictures=pictures, niivue=niivue, **values)
    )


def _common(results: Sequence[CaseResult], dataset: Dataset, facts: ModelFacts, *, explained: bool) -> dict[str, Any]:
    """What every page of a run shares."""
    statuses = ("classified", "not classified", "failed")
    return {
        "counts": {s: sum(r.status == s for r in results) for s in statuses},
        "classes": dataset.classes,
        "colours": {c: class_colour(i) for i, c in enumerate(dataset.classes)},
        "facts": facts,
        "widest": {r.case: _largest_importance(r) for r in results},
        "marks": {r.case: node_marks(r.regions) for r in results},
        "explained": explained,
        "windows": CT_WINDOWS if dataset.base.role == "ct" else (SHAPE,),
        "region_colours": region_colours(dataset),
    }


def region_colours(dataset: Dataset) -> tuple[tuple[int, str, str], ...]:
    """(value, name, colour) of each region: the colour of its role, other colours for further ones of that role."""
    seen: set[str] = set()
    rows = []
    for i, region in enumerate(dataset.regions):
        colour = COLOURS[i % len(COLOURS)] if region.role in seen else ROLE_COLOURS[region.role]
        seen.add(region.role)
        rows.append((region.value, region.name, colour))
    return tuple(rows)


def _largest_importance(result: CaseResult) -> float:
    """Length of the longest bar of a case's region table."""
    return max((abs(row.importance or 0.0) for row in result.regions), default=0.0) or 1.0


def describe_model(
    *, plan: Any, dataset: Any, config: Any, folds: Sequence[int], fingerprint: Any, calibration: Calibration | None
) -> ModelFacts:
    """Facts about a model for the report.

    Args:
        plan, dataset, config: Of the model folder.
        folds: Folds that were averaged.
        fingerprint: Of the training cohort, or None where the model folder has none.
        calibration: How its probabilities are to be read, or None where the model folder does not say.
    """
    rows = [("trained on", dataset.name)]
    if fingerprint is not None:
        graded = [c for c in fingerprint.cases if c.label is not None]
        shares = ", ".join(f"{sum(c.label == i for c in graded)} {name}" for i, name in enumerate(dataset.classes))
        patients = len({c.patient for c in fingerprint.cases})
        rows.append(("cohort", f"{len(fingerprint.cases)} cases of {patients} patients; graded: {shares}"))
    extent = " × ".join(f"{s * n:.0f}" for s, n in zip(plan.spacing_mm, plan.patch_size, strict=True))
    privileged = ", ".join(c.name for c in dataset.channels if c.name not in config.channels) or "none"
    rows += [
        ("looks at", ", ".join(config.channels)),
        ("channels only its teachers saw", privileged if config.preset != "baseline" else "none (baseline preset)"),
        ("folds averaged", f"{len(folds)} of {plan.folds}: {', '.join(map(str, folds))}"),
        ("preset, seed", f"{config.preset}, {config.seed}"),
        ("spacing z × y × x", " × ".join(f"{s:g}" for s in plan.spacing_mm) + " mm"),
        ("field of view z × y × x", f"{extent} mm"),
        ("plan", f"{plan.name}, {plan.hash}"),
    ]
    if calibration is not None:
        promise = f"{calibration.coverage:.0%} {'for each class' if calibration.per_class else 'over all cases'}"
        fitted = f"temperature {calibration.temperature:.2f} from {calibration.cases} out-of-fold answers"
        rows.append(("calibration", f"{fitted}; sets promise {promise}"))
    if dataset.source:
        rows.append(("source of the cohort", dataset.source))
    warnings = []
    if fingerprint is not None and len(fingerprint.cases) < 100:
        warnings.append(f"Trained on {len(fingerprint.cases)} cases only: expect wide error margins.")
    if len(folds) < plan.folds:
        warnings.append(f"{len(folds)} of {plan.folds} folds are averaged: the spread between folds is underestimated.")
    warnings += calibration.notes if calibration is not None else ()
    base, *further = config.channels
    sees = f"Prediction from {base} and, where there, {', '.join(further)}" if further else f"{base}-only prediction"
    return ModelFacts(f"{sees}: {dataset.name}", tuple(rows), tuple(warnings))
