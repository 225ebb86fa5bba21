"""`explanation_checks.json`: how far the explanations of a run can be trusted, measured on its own cases."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.evaluation.explanations import MEANINGS, ExplanationMeasure, explanation_measures
from reactkd_auto.execution import CaseFailure, attempt
from reactkd_auto.inference.answer import Answer, answer_case, patch_batch
from reactkd_auto.inference.ensemble import Ensemble, run_ensemble
from reactkd_auto.inference.faithfulness import (
    area_between,
    deletion_curves,
    energy_share,
    rank_correlation,
    shuffled,
)
from reactkd_auto.inference.importance import node_importance, recorded
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import read_case
from reactkd_auto.jsonio import read_document, write_json
from reactkd_auto.predictor import predict_batch
from reactkd_auto.preprocessing.batch import Batch
from reactkd_auto.progress import track
from reactkd_auto.regions.slots import node_slots

FILE = "explanation_checks.json"
RANDOM_ORDERS = 20
POINTS = 11
"""Of mean deletion curves, from all nodes to none."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseChecks:
    """Checks of one case's explanation; None where there is nothing to measure (no lesion, too few nodes).

    Attributes:
        case: Name.
        energy_in_lesions: Share of the explanation that lies on lesions.
        energy_of_a_flat_map: The same of a map that is even over all regions.
        deletion_area: Area between the deletion curves of random orders and of the order of importance, in
            probability; mean over folds.
        ordered, by_chance: These curves, mean over folds.
        randomised_correlation: Rank correlation of the nodes' importance with that of shuffled networks, mean over
            folds.
    """

    case: str
    energy_in_lesions: float | None = None
    energy_of_a_flat_map: float | None = None
    deletion_area: float | None = None
    ordered: tuple[float, ...] = ()
    by_chance: tuple[float, ...] = ()
    randomised_correlation: float | None = None


@dataclass(frozen=True)
class ExplanationChecks:
    """Document ``explanation_checks.json``.

    Attributes:
        measures: One for each of `MEANINGS`; each case as a patient of its own.
        ordered, by_chance: Mean deletion curves at shares 0, 0.1 … 1 of a case's nodes; empty without one.
        cases: Each case's own.
    """

    measures: tuple[ExplanationMeasure, ...]
    ordered: tuple[float, ...]
    by_chance: tuple[float, ...]
    cases: tuple[CaseChecks, ...]
    schema_version: int = 2


def judge_explanations(
    cases: Sequence[InputCase], model: LoadedModel, output: Path, *, quiet: bool = False
) -> ExplanationChecks:
    """Check the explanations of cases and write ``output/explanation_checks.json``.

    Cases are read and answered again, without mirror images; those that can't be classified are left out.
    """
    done = []
    for case in track(cases, what="check explanations", quiet=quiet):
        checks = attempt(partial(_read_and_check, model=model), case)
        if isinstance(checks, CaseFailure):
            logger.info("%s: explanation not checked: %s", case.case, checks.sentence)
        elif checks is not None:
            done.append(checks)
    summary = summarise(done)
    write_json(Path(output) / FILE, summary)
    return summary


def checked_values(folder: Path) -> dict[str, dict[str, float]]:
    """Checks of a run's ``explanation_checks.json`` by measure and case; empty where nothing was checked."""
    path = Path(folder) / FILE
    return _by_measure(read_document(ExplanationChecks, path).cases) if path.exists() else {}


def _by_measure(cases: Sequence[CaseChecks]) -> dict[str, dict[str, float]]:
    return {name: {c.case: v for c in cases if (v := getattr(c, name)) is not None} for name in MEANINGS}


def _read_and_check(case: InputCase, model: LoadedModel) -> CaseChecks | None:
    answer = answer_case(read_case(case, model.dataset), model, key="", explanation=True, flips=False)
    return check_case(answer, model) if answer.result.status == "classified" else None


def check_case(answer: Answer, model: LoadedModel) -> CaseChecks:
    """Check the explanation of an answer, which must be classified and explained."""
    case, explanation, name = answer.prepared, answer.explanation, answer.result.case
    assert case is not None
    assert explanation is not None
    batch = patch_batch(case, model)
    ensemble = run_ensemble(model, batch, flips=False)
    nodes = np.flatnonzero(ensemble.node_valid)
    if explanation.node_share is None or not len(nodes):
        return CaseChecks(name)
    slots = node_slots(model.plan.graph, model.dataset)
    lesions = [s.index + 1 for s in slots if s.kind in ("lesion", "other_lesions")]
    on_lesions = np.asarray(np.isin(case.nodes, lesions).any(axis=0))
    flat = np.asarray((case.nodes > 0).any(axis=0), dtype=np.float32)
    seed = zlib.crc32(name.encode())
    ordered, by_chance = _deletion(ensemble, explanation.node_share, nodes, seed)
    return CaseChecks(
        name,
        energy_in_lesions=energy_share(explanation.image, on_lesions) if on_lesions.any() else None,
        energy_of_a_flat_map=energy_share(flat, on_lesions) if on_lesions.any() else None,
        deletion_area=area_between(ordered, by_chance[None]),
        ordered=tuple(ordered.tolist()),
        by_chance=tuple(by_chance.tolist()),
        randomised_correlation=_randomised(model, batch, ensemble, nodes),
    )


def summarise(cases: Sequence[CaseChecks]) -> ExplanationChecks:
    """All cases together."""
    curves = [c for c in cases if c.ordered]
    return ExplanationChecks(
        explanation_measures(_by_measure(cases), {}, seed=0),
        ordered=_mean_curve([c.ordered for c in curves]),
        by_chance=_mean_curve([c.by_chance for c in curves]),
        cases=tuple(cases),
    )


def _deletion(
    ensemble: Ensemble, share: NDArray[np.float64], nodes: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deletion curves (n + 1,) in the order of importance and in random orders, mean over folds."""
    random = np.random.default_rng(seed)
    orders = np.stack(
        [nodes[np.argsort(-share[nodes], kind="stable")], *(random.permutation(nodes) for _ in range(RANDOM_ORDERS))]
    )
    curves = np.mean([deletion_curves(m.readout, m.run, ensemble.target, orders) for m in ensemble.members], axis=0)
    return curves[0], curves[1:].mean(axis=0)


def _randomised(model: LoadedModel, batch: Batch, ensemble: Ensemble, nodes: NDArray[np.int64]) -> float | None:
    """Rank correlation of each fold's importance with that of its shuffled network, mean over folds."""
    found = []
    for fold, (student, member) in enumerate(zip(model.students, ensemble.members, strict=True)):
        other = shuffled(student, seed=fold)
        with torch.no_grad(), recorded(other) as passes:
            for mode in (True, False):  # once to learn what is usual for it
                other.train(mode)
                predict_batch(other, batch, model.plan, model.dataset, model.config.channels, flips=False)
        own = node_importance(member.readout, member.run.state, ensemble.target)[0].cpu().numpy()
        random = node_importance(other.readout, passes[-1].state, ensemble.target)[0].cpu().numpy()
        found.append(rank_correlation(own[nodes], random[nodes]))
    known = [c for c in found if c is not None]
    return float(np.mean(known)) if known else None


def _mean_curve(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Mean of curves of different lengths, at equal shares of each."""
    if not curves:
        return ()
    at = np.linspace(0, 1, POINTS)
    return tuple(np.mean([np.interp(at, np.linspace(0, 1, len(c)), c) for c in curves], axis=0).tolist())
