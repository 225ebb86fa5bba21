"""`predict`: CTs in, classified and explained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reactkd_auto.errors import UserError
from reactkd_auto.execution import Execution
from reactkd_auto.execution.options import EngineName
from reactkd_auto.execution.parts import Part
from reactkd_auto.inference.inputs import find_cases, opened_input
from reactkd_auto.inference.results import CaseResult
from reactkd_auto.inference.tables import write_tables
from reactkd_auto.lock import locked
from reactkd_auto.provenance import write_run

if TYPE_CHECKING:
    from reactkd_auto.inference.explanation_checks import ExplanationChecks
    from reactkd_auto.inference.exported.backends import Backend
    from reactkd_auto.inference.model import LoadedModel

ROOMS = ("cases", "explanation", "pictures", "viewer", "case_pages", "dicom")
"""Folders of the output folder."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictions:
    """What a run of `predict` left behind.

    Attributes:
        output: Its folder.
        model: The model folder that was used.
        results: One a case, sorted by name.
        report: The page to open; None of a part, which writes answers only.
    """

    output: Path
    model: Path
    results: tuple[CaseResult, ...]
    report: Path | None

    def count(self, status: str) -> int:
        """Cases of a status: ``classified``, ``not classified`` or ``failed``."""
        return sum(r.status == status for r in self.results)


def predict(
    input: Path | str,
    output: Path | str,
    *,
    model: Path | str | None = None,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    folds: Sequence[int] | None = None,
    regions: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
    explanation: bool = True,
    flips: bool = True,
    dicom: bool = False,
    check_explanations: bool = False,
    engine: EngineName = "local",
    workers: int | None = None,
    part: Part | None = None,
    backend: Backend = "torch",
    covariates: Path | str | None = None,
) -> Predictions:
    """Classify every CT of a folder, and explain the answers; run again, finished cases are kept.

    Args:
        input: Folder of any nesting, single image or zip: ``CASE_0000`` or ``CASE`` images (.nii.gz, .nii, .nrrd,
            .mha) and DICOM series; see `find_cases`.
        output: Folder for tables, explanation, pictures and report.
        model: Model folder; None: the dataset's newest finished one.
        dataset: Id or name, where the model has to be looked for.
        workspace: See `open_workspace`.
        folds: Folds to average; None: every finished one.
        regions: Folder of region maps ``CASE`` on the CT's grid, instead of the model's localiser.
        device: ``auto``, ``cuda`` or ``cpu``.
        seed: Written to ``run.json``; nothing in prediction is random.
        quiet: No progress bars.
        explanation: Explanation images and pictures.
        flips: Average mirror images too, where the plan allows mirroring.
        dicom: Also write each answer as DICOM objects, where the CT came as DICOM; see `write_dicom`.
        check_explanations: Afterwards, judge the explanations by numbers; see `judge_explanations`.
        engine: ``local``: this machine; ``ray``: a Ray cluster, one worker with the model loaded a device.
        workers: Cases at a time, each in a process of its own; None or 1 with ``local``: this process, in which
            reading, network and writing overlap.
        part: A share of the cases. Parts may run side by side into one folder; they leave answers, and the call without
            a part makes tables and report, and whatever a killed part left out.
        backend: ``torch``; ``onnx`` or ``openvino``: students that `export_onnx` wrote, on the processor.

        covariates: Table with columns ``case`` and the model's covariates, for a student that sees them; what is not in
            it is missing.

    Returns:
        The answers and where they are.

    Raises:
        UserError: Bad input or model folder. A bad case is no error: its result has status ``failed``.
    """
    from reactkd_auto.device import choose_device
    from reactkd_auto.inference.case_loop import predict_cases
    from reactkd_auto.inference.case_prediction import Wanted
    from reactkd_auto.inference.explanation_checks import judge_explanations
    from reactkd_auto.inference.model import choose_model, load_model, with_table

    folder, output = choose_model(model, dataset=dataset, workspace=workspace), Path(output)
    if backend != "torch":
        device = "cpu" if device == "auto" else device
        if check_explanations:
            raise UserError("--check_explanations: changes the network's weights, expected --backend torch.")
    wanted_folds = None if folds is None else list(folds)
    loaded = load_model(folder, folds=wanted_folds, device=choose_device(device), backend=backend)
    if covariates is not None:
        loaded = with_table(loaded, Path(covariates))
    logger.info("Model %s, folds %s, on %s.", folder.path, " ".join(map(str, loaded.folds)), loaded.device)
    given, maps = Path(input), None if regions is None else Path(regions)
    _check_places(given, output)
    if dicom:
        from reactkd_auto.inference.dicom_out import require_highdicom

        require_highdicom()
    options = {
        "input": given,
        "output": output,
        "model": folder.path,
        "model_hash": loaded.hash,
        "folds": loaded.folds,
        "regions": regions,
        "device": str(loaded.device),
        "explanation": explanation,
        "flips": flips,
        "dicom": dicom,
        "backend": backend,
        "covariates": covariates,
    }
    if part is not None and given.suffix.lower() == ".zip":
        raise UserError(f"{given}: a zip, expected a folder for --num_parts; unpack it first.")
    wanted = Wanted(explanation=explanation, flips=flips, dicom=dicom)
    with locked(output, *ROOMS, shared=part is not None), opened_input(given, output) as place:
        cases = find_cases(
            place,
            loaded.dataset,
            student_channels=loaded.config.channels,
            regions=maps,
            exclude=[output],
            quiet=quiet,
        )
        if dicom and not any(c.channels[0].dicom for c in cases if 0 in c.channels):
            raise UserError(f"{given}: no DICOM series found, expected one for --dicom; leave it out for other images.")
        if part is not None:
            share = part.share([c.case for c in cases])
            cases = [c for c in cases if c.case in share]
        results = predict_cases(cases, loaded, output, wanted, Execution(engine, workers, quiet))
        if part is not None:
            return Predictions(output, folder.path, tuple(results), None)
        write_tables(output, results, loaded.dataset.classes)
        checks = judge_explanations(cases, loaded, output, quiet=quiet) if check_explanations else None
        report = _report(output, results, loaded, checks, explained=explanation)
        write_run(output, seed=seed, plan_hash=loaded.plan.hash, options=options)
    return Predictions(output, folder.path, tuple(results), report)


def _check_places(given: Path, output: Path) -> None:
    if not given.exists():
        raise UserError(f"{given}: no such file or folder, expected images to predict.")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: a file, expected a folder for the results or nothing yet.")
    if given.is_dir() and output.resolve() in (given.resolve(), *given.resolve().parents):
        raise UserError(f"{output}: results would lie round the images, expected a folder beside or below {given}.")


def _report(
    output: Path,
    results: Sequence[CaseResult],
    model: LoadedModel,
    checks: ExplanationChecks | None,
    *,
    explained: bool,
) -> Path:
    from reactkd_auto.inference.report import describe_model, write_report

    facts = describe_model(
        plan=model.plan,
        dataset=model.dataset,
        config=model.config,
        folds=model.folds,
        fingerprint=model.fingerprint,
        calibration=model.calibration,
    )
    return write_report(output, results, model.dataset, facts, explained=explained, checks=checks)
