"""`ablate`: the function behind ``reactkd_ablate``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import Dataset, read_dataset
from reactkd_auto.device import choose_device
from reactkd_auto.errors import UserError
from reactkd_auto.execution import Execution
from reactkd_auto.execution.parts import chosen_part
from reactkd_auto.jsonio import write_json, write_text
from reactkd_auto.lock import locked
from reactkd_auto.model_folder import ModelFolder, model_name
from reactkd_auto.provenance import describe_run, write_run
from reactkd_auto.splits import read_splits
from reactkd_auto.training.preset import read_preset
from reactkd_auto.workspace import open_workspace

from .gathering import Gathered, external, gather, out_of_fold
from .performing import perform, perform_side_by_side
from .recipes import Recipe, Training, share, trainings
from .table import caption, markdown, page

DEFAULT_RECIPES = ("baseline", "auto")
ON_HELD_OUT, ON_EXTERNAL = "held-out cases", "external CTs"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where trainings of one dataset and plan lie."""

    workspace: Path
    dataset: str
    raw: Path
    results: Path
    folds: int
    document: Dataset

    def model(self, recipe: Recipe, seed: int) -> ModelFolder:
        """Model folder of a recipe and seed, as training names it.

        Raises:
            UserError: There is no such preset, or not with such teachers or channels.
        """
        from reactkd_auto.training.variants import variant

        try:
            preset = read_preset(recipe.preset)
            preset = replace(preset, student_channels=recipe.channels or preset.student_channels)
            differs = variant(preset, self.document, recipe.teachers, recipe.start)
        except UserError as error:
            raise UserError(f"recipe {recipe.name}: {error}") from None
        return ModelFolder(self.results / model_name(recipe.preset, differs, seed))


@dataclass(frozen=True)
class Judging:
    """On which cases, which folds' models, and against whom."""

    reference: str
    folds: tuple[int, ...]
    on_external: bool


def ablate(
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    plan: str = "auto",
    recipes: Sequence[str] = DEFAULT_RECIPES,
    seeds: Sequence[int] = (0,),
    folds: Sequence[int] | None = None,
    reference: str | None = None,
    on_external: bool = False,
    pretrained: Path | str | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    num_parts: int = 1,
    part_id: int | None = None,
    output: Path | str | None = None,
    device: str = "auto",
    execution: Execution | None = None,
    quiet: bool = False,
) -> Path | None:
    """Train every recipe with every seed on every fold, as far as that is not done, and compare them.

    Args:
        dataset, workspace, plan, epochs, iterations, device: As for training.
        recipes: ``PRESET``, with ``:in_sample`` or ``:cross_fitted``, then ``:pretrained`` or ``:pretrained_loraR``,
            then the student's channels, such as ``:CT+FDG`` or ``:FDG``.
        seeds: Of training; each is a training of its own.
        folds: None: every fold of the plan.
        reference: Recipe that the others are compared with; None: the first.
        on_external: Judge on the external CTs (``imagesTs``, ``labelsTs.csv``; with ``regionsTs`` where that exists),
            each model the mean of its folds, rather than out of fold.
        pretrained: Folder of `pretrain`, for recipes that begin with pretrained encoders.
        num_parts, part_id: This machine's share of the trainings; several may work side by side. None: all of them.
        output: Folder of the table; None: ``ablation`` beside the model folders.
        execution: A Ray cluster does the trainings, a seed and fold each at a time; None: this process does.
        quiet: No progress bars.

    Returns:
        The page; None while no seed is finished by all recipes.

    Raises:
        UserError: Something that the user can mend; trainings that are finished stay. The table of what did not fail
            is written all the same.
    """
    part = chosen_part(num_parts, part_id)
    place = _place(dataset, workspace, plan)
    wanted = tuple(dict.fromkeys(Recipe.parse(text) for text in recipes))
    seeds = tuple(dict.fromkeys(seeds))
    chosen = tuple(range(place.folds) if folds is None else dict.fromkeys(folds))
    _check_start(wanted, pretrained)
    _check_numbers(seeds, chosen, place.folds, epochs, iterations)
    judging = Judging(_reference(wanted, reference), chosen, on_external)
    mine = share(trainings(wanted, seeds, chosen), part)
    models = {recipe: {seed: place.model(recipe, seed) for seed in seeds} for recipe in wanted}
    settings = {"plan": plan, "epochs": epochs, "iterations": iterations, "device": device, "quiet": quiet}
    doing = partial(_train, place=place, pretrained=pretrained, settings=settings)
    if execution is None:
        failures = perform(mine, doing, quiet=quiet)
    else:
        devices = 1 if device == "cuda" or choose_device(device).type == "cuda" else 0
        failures = perform_side_by_side(mine, doing, execution=execution, devices=devices)
    read = partial(_external, place=place, folds=chosen, device=device, quiet=quiet)
    failed = {(training.recipe, training.seed) for training in failures}
    gathered = gather(models, chosen, read if on_external else partial(out_of_fold, folds=chosen), failed=failed)
    folder = Path(output) if output is not None else place.results / "ablation"
    options = {
        "recipes": [r.name for r in wanted],
        "seeds": list(seeds),
        "folds": chosen,
        "pretrained": pretrained,
        **settings,
    }
    written = _write(folder, gathered, place.document.classes, judging, options)
    if failures:
        training, why = next(iter(failures.items()))
        raise UserError(f"{len(failures)} of {len(mine)} trainings failed, the first ({training}): {why}")
    return written


def _place(dataset: str | None, workspace: Path | str | None, plan: str) -> Place:
    from reactkd_auto.training.opening import find_plan

    space = open_workspace(workspace)
    name = space.find_dataset(dataset)
    preprocessed = space.preprocessed(name)
    find_plan(preprocessed, plan)
    folds, document = read_splits(preprocessed).folds, read_dataset(preprocessed)
    return Place(space.root, name, space.raw_dataset(name), space.results(name, plan), folds, document)


def _reference(recipes: Sequence[Recipe], reference: str | None) -> str:
    names = [recipe.name for recipe in recipes]
    if reference is not None and reference not in names:
        raise UserError(f"--reference {reference}: expected one of {', '.join(names)}.")
    return reference or names[0]


def _check_start(recipes: Sequence[Recipe], pretrained: Path | str | None) -> None:
    begin = [recipe.name for recipe in recipes if recipe.start]
    if begin and pretrained is None:
        raise UserError(f"recipe {begin[0]}: found no --pretrained, expected the folder of its encoders.")
    if pretrained is not None and not begin:
        raise UserError(
            f"--pretrained {pretrained}: no recipe begins with it, expected one such as {recipes[0].name}:pretrained."
        )


def _check_numbers(
    seeds: Sequence[int], folds: Sequence[int], planned: int, epochs: int | None, iterations: int | None
) -> None:
    from reactkd_auto.training.opening import check_length

    check_length(epochs, iterations)
    for seed in seeds:
        if seed < 0:
            raise UserError(f"--seeds {seed}: expected 0 or more.")
    for fold in folds:
        if not 0 <= fold < planned:
            raise UserError(f"--folds {fold}: expected some of 0…{planned - 1}, as planned.")


def _train(training: Training, *, place: Place, pretrained: Path | str | None, settings: dict[str, Any]) -> None:
    from reactkd_auto.training import train

    train(
        training.fold,
        dataset=place.dataset,
        workspace=place.workspace,
        preset=training.recipe.preset,
        teachers=training.recipe.teachers,
        student_channels=training.recipe.channels,
        seed=training.seed,
        pretrained=pretrained if training.recipe.start else None,
        lora_rank=training.recipe.lora_rank,
        **settings,
    )


def _external(
    model: ModelFolder, *, place: Place, folds: Sequence[int], device: str, quiet: bool
) -> dict[str, Any] | None:
    from reactkd_auto.inference import predict

    labels, regions = place.raw / "labelsTs.csv", place.raw / "regionsTs"
    if not labels.exists():
        raise UserError(f"{labels}: file not found, expected labels of the external CTs.")
    output = model.path / "external"
    predict(
        place.raw / "imagesTs",
        output,
        model=model.path,
        folds=folds,
        regions=regions if regions.is_dir() else None,
        device=device,
        quiet=quiet,
        explanation=False,
    )
    return external(model, output / "predictions.csv", labels)


def _write(
    folder: Path, gathered: Gathered, classes: tuple[str, ...], judging: Judging, options: dict[str, Any]
) -> Path | None:
    from reactkd_auto.evaluation.seeds import compare_recipes

    if not gathered.seeds:
        logger.info("No seed is finished by every recipe yet (missing: %s).", ", ".join(gathered.missing))
        return None
    comparison = compare_recipes(gathered.tables, classes, reference=judging.reference, seed=0)
    judged_on = ON_EXTERNAL if judging.on_external else ON_HELD_OUT
    words = caption(comparison, judged_on=judged_on, folds=judging.folds)
    run = describe_run(seed=None, plan_hash=None, options=options)
    with locked(folder):
        text = markdown(comparison, words, gathered.missing)
        write_json(folder / "ablation.json", comparison)
        write_text(folder / "ablation.md", text)
        write_run(folder, seed=None, plan_hash=None, options=options)
        write_text(folder / "ablation.html", page(comparison, words, gathered.missing, run))
    logger.info("%s\n%s", text, folder / "ablation.html")
    return folder / "ablation.html"
