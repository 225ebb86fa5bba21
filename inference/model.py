"""A model folder in memory: plan, dataset, and each fold's student and localiser on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reactkd_auto.calibration import Calibration, read_calibration
from reactkd_auto.covariates import Values, read_covariates
from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import Fingerprint, read_fingerprint
from reactkd_auto.inference.domain import Domain, domain_of
from reactkd_auto.jsonio import content_hash, file_hash
from reactkd_auto.model_folder import ModelConfig, ModelFolder, newest_model
from reactkd_auto.plan import Plan
from reactkd_auto.workspace import open_workspace

if TYPE_CHECKING:
    import torch

    from reactkd_auto.inference.exported.backends import Backend
    from reactkd_auto.networks import Localiser, Student


@dataclass(frozen=True)
class LoadedModel:
    """Everything that prediction needs.

    Attributes:
        path: The model folder.
        plan, dataset, config: Its documents.
        fingerprint: Of the training cohort, where the folder has it.
        folds: Folds that are averaged.
        students: One a fold, ready to predict.
        localisers: One a fold that has one; may be empty.
        device: Where they are.
        calibration: How its probabilities are to be read; None in folders that have none.
        domain: What its cohort was like.
        backend: What runs the students.
        hash: Identity of documents, weights and backend.
        covariates: Values of the table that the user gave, by case; others, and without a table all, are missing.
    """

    path: Path
    plan: Plan
    dataset: Dataset
    config: ModelConfig
    fingerprint: Fingerprint | None
    folds: tuple[int, ...]
    students: tuple[Student, ...]
    localisers: tuple[Localiser, ...]
    device: torch.device
    calibration: Calibration | None
    domain: Domain
    backend: Backend
    hash: str
    covariates: Mapping[str, Values] = field(default_factory=dict)

    @property
    def required_values(self) -> tuple[int, ...]:
        """Region values of which a case must have one: lesions, else organs; none if the model reads whole images."""
        if not self.plan.graph.enabled:
            return ()
        return self.dataset.decisive_values


def choose_model(model: Path | str | None, *, dataset: str | None, workspace: Path | str | None) -> ModelFolder:
    """The named model folder, or the dataset's model that was finished last.

    Raises:
        UserError: No such folder, or no finished model.
    """
    if model is not None:
        if not (Path(model) / "plan.json").is_file():
            raise UserError(f"{model}: no plan.json in it, expected a model folder such as results/…/auto_seed0.")
        return ModelFolder(Path(model))
    place = open_workspace(workspace)
    return newest_model(place.root / "results" / place.find_dataset(dataset))


def load_model(
    folder: ModelFolder, *, folds: list[int] | None, device: torch.device, backend: Backend = "torch"
) -> LoadedModel:
    """Build the networks of the wanted folds (None: all finished ones) and read their weights.

    Args:
        folder: The model folder.
        folds: Wanted folds.
        device: Where the networks run.
        backend: What runs the students; others than ``torch`` run exported ones on the processor.

    Raises:
        UserError: A document or weights file is missing, damaged or of another model; or a student was not exported.
    """
    from reactkd_auto.inference.exported.backends import exported_student
    from reactkd_auto.networks import build_localiser, build_student, load_weights
    from reactkd_auto.networks.onednn import prefer_onednn

    plan, dataset, config = folder.plan, folder.dataset, folder.config
    chosen = folder.choose_folds(folds)
    students, localisers = [], []
    files = [folder.student_weights(fold) for fold in chosen]
    if backend != "torch" and device.type != "cpu":
        raise UserError(f"--backend {backend}: runs on the processor, expected --device cpu or auto.")
    for path in files:
        student = build_student(plan, dataset, config.channels, covariates=config.covariates)
        load_weights(path, student)
        students.append(exported_student(path.parent, student.to(device).eval(), backend))
    if plan.localiser.enabled:
        for path in (folder.localiser_weights(fold) for fold in chosen):
            if path.exists():
                localiser = build_localiser(plan, dataset)
                load_weights(path, localiser)
                localisers.append(localiser.to(device).eval())
                files.append(path)
    for network in (*students, *localisers) if device.type == "cpu" else ():
        prefer_onednn(network)
    fingerprint = read_fingerprint(folder.path) if (folder.path / "fingerprint.json").exists() else None
    calibration = read_calibration(folder.path)
    if calibration is not None and calibration.classes != dataset.classes:
        raise UserError(
            f"{folder.path / 'calibration.json'}: of classes {', '.join(calibration.classes)}, expected "
            f"{', '.join(dataset.classes)} as in dataset.json; train again to make it."
        )
    known = None if fingerprint is None else fingerprint.hash
    return LoadedModel(
        path=folder.path,
        plan=plan,
        dataset=dataset,
        config=config,
        fingerprint=fingerprint,
        folds=tuple(chosen),
        students=tuple(students),
        localisers=tuple(localisers),
        device=device,
        calibration=calibration,
        domain=domain_of(fingerprint, plan, dataset),
        backend=backend,
        hash=content_hash([plan.hash, dataset, config, calibration, known, chosen, backend, *map(file_hash, files)]),
    )


def with_table(model: LoadedModel, table: Path) -> LoadedModel:
    """The model with clinical covariates of the cases that it will be asked about.

    Raises:
        UserError: Its student sees none, or the table has a fault.
    """
    if not model.config.covariates:
        raise UserError(f"{table}: the model in {model.path} takes no covariates, expected none; leave the table out.")
    return replace(model, covariates=read_covariates(table, model.dataset.covariates))
