"""Answers of finished trainings as tables: out of fold, or of the external CTs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from reactkd_auto.evaluation.seeds import Tables
from reactkd_auto.evaluation.tables import read_joined
from reactkd_auto.model_folder import ModelFolder

from .recipes import Recipe

ROWS = {"student": "{}", "teacher": "{}, its teacher", "covariates": "covariates alone"}
"""Name of a table's row, from that of the recipe, by who answered; without images all recipes answer alike."""
OUT_OF_FOLD = {
    "student": "predictions.csv",
    "teacher": "teacher_predictions.csv",
    "covariates": "covariates_predictions.csv",
}


@dataclass(frozen=True)
class Gathered:
    """What can be compared.

    Attributes:
        tables: By name of the row and by seed.
        seeds: Those that every recipe has finished all wanted folds of.
        missing: Names of recipes and seeds that are not finished, or failed.
    """

    tables: dict[str, Tables]
    seeds: tuple[int, ...]
    missing: tuple[str, ...]


def gather(
    models: dict[Recipe, dict[int, ModelFolder]],
    folds: Sequence[int],
    read: Callable[[ModelFolder], dict[str, Any] | None],
    *,
    failed: Collection[tuple[Recipe, int]],
) -> Gathered:
    """Tables of the seeds that all recipes have finished.

    Args:
        models: By recipe and seed.
        folds: Wanted of each.
        read: Tables of a finished model by who answered, as in `ROWS`.
        failed: Recipes and seeds whose training failed; what lies in their folders was trained otherwise.
    """
    finished = {
        recipe: {
            seed
            for seed, model in by_seed.items()
            if (recipe, seed) not in failed and all(_finished(model, fold) for fold in folds)
        }
        for recipe, by_seed in models.items()
    }
    seeds = tuple(sorted(set.intersection(*finished.values())))
    missing = tuple(
        f"{recipe.name} seed {seed}" for recipe, done in finished.items() for seed in models[recipe] if seed not in done
    )
    tables: dict[str, dict[int, Any]] = {}
    for recipe, by_seed in models.items():
        for seed in seeds:
            for who, table in (read(by_seed[seed]) or {}).items():
                tables.setdefault(ROWS[who].format(recipe.name), {})[seed] = table
    return Gathered({name: of for name, of in tables.items() if set(of) == set(seeds)}, seeds, missing)


def _finished(model: ModelFolder, fold: int) -> bool:
    """Whether a fold is trained and judged; in between, its training was stopped, or another machine is at it."""
    return fold in model.finished_folds() and (model.fold(fold) / "validation" / OUT_OF_FOLD["student"]).exists()


def out_of_fold(model: ModelFolder, folds: Sequence[int]) -> dict[str, Any]:
    """Held-out answers of the folds' students, and of their teachers and of clinical covariates where there are any."""
    places = [model.fold(fold) / "validation" for fold in folds]
    answers = {}
    for who, name in OUT_OF_FOLD.items():
        if all((place / name).exists() for place in places):
            parts = [_read(place / name, place / "labels.csv", model) for place in places]
            answers[who] = pandas.concat(parts, ignore_index=True)
    return answers


def _read(predictions: Path, labels: Path, model: ModelFolder) -> Any:
    return read_joined(predictions, labels, dataset_json=model.path / "dataset.json").table


def external(model: ModelFolder, predictions: Path, labels: Path) -> dict[str, Any]:
    """Answers to the external CTs."""
    return {"student": _read(predictions, labels, model)}
