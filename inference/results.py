"""What prediction says about a case: the documents `cases/CASE.json` that every table is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document, write_json

Status = Literal["classified", "not classified", "failed"]
RegionSource = Literal["region maps", "localiser", "supervoxels", "none"]


@dataclass(frozen=True)
class RegionRow:
    """One region node of one case.

    Attributes:
        node: Name of the node slot, such as ``lesion 1``.
        kind: ``organ``, ``parcel``, ``lesion``, ``ring``, ``other_lesions`` or ``context``.
        volume_mm3: On the grid that the network saw.
        attention: Weight of the node in the graph readout, averaged over the ensemble; None where none is given.
        importance: Share of the evidence that this node carries, positive for the answer and negative against it
            (absolute shares of all nodes sum to 1 in one pass), averaged over the ensemble; None when no explanation
            was asked for.
        importance_std: Its standard deviation over the ensemble.
        grade: Class that the node's own logits favour (lesions only).
        probabilities: Of each class by the node's own logits, averaged over the ensemble and calibrated like the case's
            (lesions only): a lesion that stands alone has the case's probabilities.
        centroid_mm: (x, y, z) in the CT's own patient coordinates (LPS); of all its parts, where it has several.
    """

    node: str
    kind: str
    volume_mm3: float
    attention: float | None = None
    importance: float | None = None
    importance_std: float | None = None
    grade: str | None = None
    probabilities: tuple[float, ...] | None = None
    centroid_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class CaseResult:
    """One case's answer.

    Attributes:
        key: Identity of model, input files and options; an answer is kept only for the same key.
        case: Name.
        status: ``classified``, ``not classified`` (nothing plausible was found) or ``failed`` (not readable).
        reason: Why it was not classified; empty for a classified case.
        predicted_class: Name of the most probable class.
        probabilities: Mean over the ensemble, calibrated where the model has a calibration; one a class, sum 1.
        uncalibrated: The mean itself.
        prediction_set: Classes that cannot be excluded at ``set_coverage``; empty without a calibration.
        set_coverage: Promised share of sets that hold the true class; None without a calibration.
        uncertainty_std: Standard deviation over the ensemble (folds × flips) of the predicted class's uncalibrated
            probability; its square is the sum of those of ``std_folds`` and ``std_flips``.
        std_folds, std_flips: The parts of it between folds and within them.
        entropy: Of the probabilities, divided by ln(classes): 0 is sure, 1 is even.
        mutual_information: Of what the members disagree about, on the entropy's scale (uncalibrated).
        noise_hu: Noise of the CT; None where it can't be measured.
        noise_trained_hu: Lowest and highest noise that training saw, degraded doses included; None where unknown.
        members: Passes averaged (folds × flips).
        regions_from: Where the regions came from.
        regions: The region nodes that the case has.
        warnings: Sentences that a person should read.
        explained: Whether explanation images were written.
        picture: Whether a picture was written.
    """

    key: str
    case: str
    status: Status
    reason: str = ""
    predicted_class: str | None = None
    probabilities: tuple[float, ...] | None = None
    uncalibrated: tuple[float, ...] | None = None
    prediction_set: tuple[str, ...] = ()
    set_coverage: float | None = None
    uncertainty_std: float | None = None
    std_folds: float | None = None
    std_flips: float | None = None
    entropy: float | None = None
    mutual_information: float | None = None
    noise_hu: float | None = None
    noise_trained_hu: tuple[float, float] | None = None
    members: int = 0
    regions_from: RegionSource = "none"
    regions: tuple[RegionRow, ...] = ()
    warnings: tuple[str, ...] = ()
    explained: bool = False
    picture: bool = False
    schema_version: int = 2


def normalised_entropy(probabilities: Sequence[float]) -> float:
    """Shannon entropy divided by ln(number of classes): 0 is sure, 1 is even."""
    total = -sum(p * math.log(p) for p in probabilities if p > 0)
    return max(0.0, total / math.log(len(probabilities)))


def result_path(output: Path, case: str) -> Path:
    """``output/cases/CASE.json``."""
    return Path(output) / "cases" / f"{case}.json"


def write_result(output: Path, result: CaseResult) -> None:
    """Write a case's answer; it comes last, so an interrupted case counts as not done."""
    write_json(result_path(output, result.case), result)


def finished_result(output: Path, case: str, key: str) -> CaseResult | None:
    """The answer of an earlier run to the same question, or None. Failed cases are always tried again."""
    path = result_path(output, case)
    if not path.exists():
        return None
    try:
        result = read_document(CaseResult, path)
    except UserError:  # of another release: predict again
        return None
    return result if result.key == key and result.status != "failed" else None
