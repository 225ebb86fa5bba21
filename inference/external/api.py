"""`evaluate_external`: the raw dataset's test set, predicted and evaluated in one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reactkd_auto.dataset import read_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.evaluation.metrics import Evaluation
from reactkd_auto.inference.inputs import InputCase, find_cases
from reactkd_auto.inference.tables import write_tables
from reactkd_auto.lock import locked
from reactkd_auto.progress import track
from reactkd_auto.provenance import write_run
from reactkd_auto.workspace import open_workspace

if TYPE_CHECKING:
    from reactkd_auto.inference.external.conditions import Condition, RegionChoice, Sweep
    from reactkd_auto.inference.model import LoadedModel
    from reactkd_auto.inference.results import CaseResult

MAIN = "predictions"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExternalEvaluation:
    """What a run of `evaluate_external` left behind.

    Attributes:
        output: Its folder.
        evaluation: All numbers.
        failed: Cases that could not be read.
    """

    output: Path
    evaluation: Evaluation
    failed: int


def evaluate_external(
    output: Path | str,
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    model: Path | str | None = None,
    folds: Sequence[int] | None = None,
    regions: RegionChoice = "drawn",
    dose_levels: Sequence[float] = (),
    channel_subsets: bool = False,
    check_explanations: bool = False,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
) -> ExternalEvaluation:
    """Predict and evaluate ``imagesTs`` with ``labelsTs.csv``; run again, finished predictions are kept.

    Lower doses are made of the raw CTs by `reactkd_auto.dose.degrade` (engine ``fft``), calibrated on each CT itself,
    never written to disk. Every sweep is judged on the cases that were classified under all of its conditions.

    Args:
        output: Folder for predictions and evaluation.
        dataset: Id or name; None: the only one.
        workspace: See `open_workspace`.
        model: Model folder; None: the dataset's newest finished one.
        folds: Folds to average; None: every finished one.
        regions: ``drawn``: region maps of ``regionsTs``, where there are some, else the model's localiser;
            ``automatic``: always the localiser; ``both``: as drawn, and a comparison with the localiser's.
        dose_levels: Dose fractions to compare with the CT as it is; empty: no such sweep.
        channel_subsets: Compare every subset of a student's channels with all of them.
        check_explanations: Also judge the explanations of the answers by numbers; see `judge_explanations`.
        device: ``auto``, ``cuda`` or ``cpu``.
        seed: Of the bootstrap and of the noise.
        quiet: No progress bars.

    Raises:
        UserError: No test set, a model of other channels or classes, a sweep that the model does not allow, or nothing
            to evaluate. A case that cannot be read has status ``failed``.
    """
    from reactkd_auto.device import choose_device
    from reactkd_auto.evaluation.run import evaluate
    from reactkd_auto.inference.explanation_checks import checked_values, judge_explanations
    from reactkd_auto.inference.external.answers import answer_conditions
    from reactkd_auto.inference.external.conditions import Condition
    from reactkd_auto.inference.model import choose_model, load_model

    output, place = Path(output), open_workspace(workspace)
    raw = place.raw_dataset(place.find_dataset(dataset))
    labels = raw / "labelsTs.csv"
    for needed in (raw / "imagesTs", labels):
        if not needed.exists():
            raise UserError(f"{needed}: not there, expected the dataset's test set.")
    folder = choose_model(model, dataset=dataset, workspace=workspace)
    loaded = load_model(folder, folds=None if folds is None else list(folds), device=choose_device(device))
    _check_same_dataset(raw, loaded)
    main = Condition(MAIN, "all", drawn=regions != "automatic")
    sweeps = _sweeps(main, loaded, regions=regions, dose_levels=dose_levels, channel_subsets=channel_subsets)
    conditions = list({c.folder: c for c in [main, *(c for s in sweeps for c in s.conditions)]}.values())
    options = {
        "dataset": raw.name,
        "model": folder.path,
        "model_hash": loaded.hash,
        "folds": loaded.folds,
        "regions": regions,
        "dose_levels": list(dose_levels),
        "channel_subsets": channel_subsets,
        "check_explanations": check_explanations,
        "device": str(loaded.device),
    }
    with locked(output, *(f"{c.folder}/cases" for c in conditions)):
        cases = _cases(raw, loaded, quiet=quiet)
        answers: dict[str, list[CaseResult]] = {c.folder: [] for c in conditions}
        for case in track(cases, what="predict", quiet=quiet):
            for name, result in answer_conditions(case, conditions, loaded, output, seed=seed).items():
                answers[name].append(result)
        for name, results in answers.items():
            if not results:
                raise UserError(f"{raw / 'imagesTs'}: no case allows the comparison {name}, expected at least one.")
            write_tables(output / name, results, loaded.dataset.classes)
        if check_explanations:
            shown = cases if main.drawn else [replace(case, regions=None) for case in cases]
            judge_explanations(shown, loaded, output / MAIN, quiet=quiet)
        evaluation = evaluate(
            output / MAIN / "predictions.csv",
            labels,
            output,
            dataset_json=folder.path / "dataset.json",
            sweeps=[sweep.tables(output) for sweep in sweeps],
            explanations=checked_values(output / MAIN) if check_explanations else None,
            seed=seed,
            title=f"the test set of {raw.name}",
        )
        write_run(output, seed=seed, plan_hash=loaded.plan.hash, options=options)
    return ExternalEvaluation(output, evaluation, sum(r.status == "failed" for r in answers[MAIN]))


def _check_same_dataset(raw: Path, model: LoadedModel) -> None:
    """A model may come from elsewhere: classes must be the same, and channels mean the same."""
    described = read_dataset(raw)
    for what, here, there in (
        ("classes", described.classes, model.dataset.classes),
        ("channels", described.channels, model.dataset.channels),
        ("regions", described.regions, model.dataset.regions),
    ):
        if here != there:
            raise UserError(f"{raw / 'dataset.json'}: other {what} than the model in {model.path}, expected the same.")


def _sweeps(
    main: Condition, model: LoadedModel, *, regions: str, dose_levels: Sequence[float], channel_subsets: bool
) -> list[Sweep]:
    from reactkd_auto.inference.external import conditions

    if regions == "automatic":
        conditions.require_localiser(model)
    sweeps = [conditions.region_sweep(main, model)] if regions == "both" else []
    if dose_levels:
        sweeps.append(conditions.dose_sweep(dose_levels, main, model))
    if channel_subsets:
        sweeps.append(conditions.channel_sweep(main, model))
    return sweeps


def _cases(raw: Path, model: LoadedModel, *, quiet: bool) -> list[InputCase]:
    maps = raw / "regionsTs"
    return find_cases(
        raw / "imagesTs",
        model.dataset,
        student_channels=model.config.channels,
        regions=maps if maps.is_dir() and any(maps.iterdir()) else None,
        quiet=quiet,
    )
