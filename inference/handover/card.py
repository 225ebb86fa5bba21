"""The model card: made of what the model folder holds, and of nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from reactkd_auto.calibration import read_calibration
from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import Fingerprint
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.pages import render

TEMPLATE = Path(__file__).parent.parent / "templates" / "model_card.md"
FEW_CASES = 100
SCORES = {
    "macro_auc": "AUC, macro",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "F1, macro",
    "quadratic_kappa": "quadratic-weighted kappa",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "expected_calibration_error": "expected calibration error",
}

Row = tuple[str, str]


def model_card(model: ModelFolder, fingerprint: Fingerprint | None, metrics: Mapping[str, Any] | None) -> str:
    """The card as Markdown.

    Args:
        model: The model folder.
        fingerprint: Of the training cohort, where the folder has it.
        metrics: ``cross_validation/metrics.json``, where the folder has it.
    """
    plan, dataset, config = model.plan, model.dataset, model.config
    folds = model.finished_folds()
    extent = " × ".join(f"{s * n:.0f}" for s, n in zip(plan.spacing_mm, plan.patch_size, strict=True))
    localised = plan.localiser.enabled and all(model.localiser_weights(f).exists() for f in folds)
    return render(
        TEMPLATE,
        dataset=dataset,
        plan=plan,
        config=config,
        version=metadata.version("reactkd_auto"),
        folds=folds,
        extent=extent,
        privileged=[c.name for c in dataset.channels if c.name not in config.channels],
        regions=[f"{r.name} ({r.role})" for r in dataset.regions],
        localised=localised,
        searched=_searched(fingerprint),
        cohort=list(_cohort(fingerprint, dataset)) if fingerprint is not None else [],
        cases=0 if fingerprint is None else len(fingerprint.cases),
        few=FEW_CASES,
        evidence=list(_scores(metrics)) if metrics is not None else [],
        evaluated=metrics or {},
        calibration=read_calibration(model.path),
    )


def _searched(fingerprint: Fingerprint | None) -> str:
    """Size of the largest image that localisers learnt on, mm along z, y, x; empty where that is not known."""
    if fingerprint is None or not fingerprint.cases:
        return ""
    largest = max((c.image_extent_mm for c in fingerprint.cases), key=math.prod)
    return " × ".join(f"{mm:.0f}" for mm in largest)


def _cohort(fingerprint: Fingerprint, dataset: Dataset) -> Iterator[Row]:
    cases = fingerprint.cases
    graded = Counter(c.label for c in cases)
    yield "cases", str(len(cases))
    yield "patients", str(len({c.patient for c in cases}))
    for index, name in enumerate(dataset.classes):
        yield f"class {name}", str(graded[index])
    yield "ungraded", str(graded[None])
    for index, channel in enumerate(dataset.channels):
        yield f"with {channel.name}", str(sum(c.present[index] for c in cases))
    yield "spacing along z", _range([c.spacing_mm[0] for c in cases], "mm")
    yield "spacing in the plane", _range([c.spacing_mm[2] for c in cases], "mm")
    lesions = [c.lesion_volumes_mm3 for c in cases if c.lesion_volumes_mm3]
    if lesions:
        yield "cases with lesion regions", str(len(lesions))
        yield "lesions a case", _range([len(v) for v in lesions], "")
        yield "volume of the largest lesion", _range([max(v) / 1000 for v in lesions], "ml")
    scanners = Counter(c.scan.scanner for c in cases if c.scan is not None and c.scan.scanner)
    for scanner, count in sorted(scanners.items()):
        yield f"scanner {scanner}", str(count)


def _range(values: Sequence[float], unit: str) -> str:
    return f"{median(values):.3g} ({min(values):.3g}–{max(values):.3g}) {unit}".rstrip()


def _scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, value with its 95 % interval, and how the interval was made."""
    for key, name in SCORES.items():
        yield from _score(name, metrics.get(key))
    for row in metrics.get("per_class", ()):
        for key in ("auc", "sensitivity", "specificity"):
            yield from _score(f"{row['name']}: {key.upper() if key == 'auc' else key}", row.get(key))


def _score(name: str, estimate: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    if estimate is None or estimate.get("value") is None:
        return
    low, high = estimate.get("low"), estimate.get("high")
    interval = "" if low is None or high is None else f" ({low:.2f}–{high:.2f})"
    yield name, f"{estimate['value']:.2f}{interval}", estimate.get("method") or "no interval"
