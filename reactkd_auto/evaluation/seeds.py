"""Recipes trained with several seeds, compared on the same cases: uncertainty by patients and by seeds, apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.errors import UserError

from .bootstrap import REPLICATES, PatientBootstrap, bootstrap_macro_auc, macro_auc
from .estimate import Estimate, undefined
from .sample import Sample, is_classified, is_graded, sample_of

Tables = Mapping[int, Any]
"""Tables as `metrics.evaluate_predictions` takes, by seed."""
ONE_CLASS = "fewer than two classes occur among the common cases"


@dataclass(frozen=True)
class RecipeScore:
    """One recipe over its seeds.

    Attributes:
        name: Of the recipe.
        auc: Mean macro AUC of the seeds; its 95 % interval is over patients, the seeds as they are.
        per_seed: Macro AUC of each seed, in the order of the seeds.
        seed_sd: Standard deviation over the seeds; None for one.
        difference: Mean over the seeds of the AUC less the reference's with the same seed, its interval likewise over
            patients; None for the reference.
        difference_sd: Standard deviation of that difference over the seeds; None for one.
        p_value: Two-sided bootstrap p of no difference; None where there is none.
    """

    name: str
    auc: Estimate
    per_seed: tuple[float, ...]
    seed_sd: float | None
    difference: Estimate | None
    difference_sd: float | None
    p_value: float | None


@dataclass(frozen=True)
class SeedComparison:
    """All recipes on the cases that every one of them classified with every seed."""

    reference: str
    seeds: tuple[int, ...]
    n_cases: int
    n_patients: int
    n_left_out: int
    recipes: tuple[RecipeScore, ...]


def compare_recipes(
    tables: Mapping[str, Tables], classes: Sequence[str], *, reference: str, seed: int, replicates: int = REPLICATES
) -> SeedComparison:
    """Paired comparison of recipes with one of them.

    Every replicate draws patients once for all recipes and seeds. p = 2 min(share ≤ 0, share ≥ 0), the observed value
    counted in (Efron & Tibshirani 1993, ch. 15).

    Args:
        tables: By recipe and seed; every recipe with the same seeds.
        classes: Class names.
        reference: Recipe that the others are compared with.
        seed: Of the bootstrap.
        replicates: Number of draws.

    Raises:
        UserError: Seeds differ between recipes, a case has another label or patient in each table, a column is missing,
            or a class unknown.
    """
    seeds = tuple(sorted(tables[reference]))
    for name, by_seed in tables.items():
        if tuple(sorted(by_seed)) != seeds:
            raise UserError(f"{name}: seeds {sorted(by_seed)}, expected {list(seeds)} as {reference}.")
    cases, left_out = _common_cases([t for by_seed in tables.values() for t in by_seed.values()])
    samples = {name: [_in_order(by_seed[s], cases, classes) for s in seeds] for name, by_seed in tables.items()}
    first = samples[reference][0]
    _check_same([s for of_recipe in samples.values() for s in of_recipe], first)
    areas = _areas(samples, first, seed, replicates)
    recipes = tuple(_score(name, areas[name], None if name == reference else areas[reference]) for name in samples)
    return SeedComparison(reference, seeds, first.n_cases, first.n_patients, left_out, recipes)


@dataclass(frozen=True)
class _Areas:
    """Macro AUCs of one recipe: (seeds,) as observed, (replicates, seeds) drawn."""

    observed: NDArray[np.float64]
    drawn: NDArray[np.float64]

    def estimate(self, method: str) -> Estimate:
        """Mean over the seeds, with the interval over the draws of patients."""
        low, high = np.quantile(self.drawn.mean(axis=1), [0.025, 0.975])
        return Estimate(float(self.observed.mean()), float(low), float(high), method)

    def sd(self) -> float | None:
        """Standard deviation over the seeds."""
        return float(self.observed.std(ddof=1)) if self.observed.size > 1 else None


def _areas(samples: Mapping[str, list[Sample]], first: Sample, seed: int, replicates: int) -> dict[str, _Areas | None]:
    """By recipe; None with one class only."""
    if np.unique(first.labels).size < 2:
        return dict.fromkeys(samples)
    once = np.ones((1, first.n_cases))
    bootstrap = PatientBootstrap(first.labels, first.patients, replicates, seed)
    everything = [s.probabilities for of_recipe in samples.values() for s in of_recipe]
    drawn = np.split(bootstrap_macro_auc(bootstrap, everything), len(samples), axis=1)
    return {
        name: _Areas(np.array([macro_auc(s.labels, s.probabilities, once)[0] for s in of_recipe]), part)
        for (name, of_recipe), part in zip(samples.items(), drawn, strict=True)
    }


def _score(name: str, areas: _Areas | None, reference: _Areas | None) -> RecipeScore:
    if areas is None:
        return RecipeScore(name, undefined(ONE_CLASS), (), None, None, None, None)
    method = f"patient bootstrap {len(areas.drawn)}×, percentile"
    auc, per_seed = areas.estimate(method), tuple(areas.observed.tolist())
    if reference is None:
        return RecipeScore(name, auc, per_seed, areas.sd(), None, None, None)
    gain = _Areas(areas.observed - reference.observed, areas.drawn - reference.drawn)
    gains = gain.drawn.mean(axis=1)
    tail = min((gains <= 0).sum(), (gains >= 0).sum()) + 1
    p = min(1.0, 2 * float(tail) / (gains.size + 1))
    return RecipeScore(name, auc, per_seed, areas.sd(), gain.estimate(f"paired {method}"), gain.sd(), p)


def _common_cases(tables: Sequence[Any]) -> tuple[list[str], int]:
    answered = [set(t["case"][is_graded(t) & is_classified(t)]) for t in tables]
    common = set.intersection(*answered)
    return sorted(common), len(set.union(*answered)) - len(common)


def _in_order(table: Any, cases: list[str], classes: Sequence[str]) -> Sample:
    return sample_of(table.set_index("case", drop=False).loc[cases], classes)


def _check_same(samples: Sequence[Sample], first: Sample) -> None:
    for sample in samples:
        for case, label, other in zip(first.cases, first.labels, sample.labels, strict=True):
            if label != other:
                raise UserError(
                    f"case {case!r}: label {first.classes[label]} in one table and {first.classes[other]} in another, "
                    "expected the same labels."
                )
        if np.any(sample.patients != first.patients):
            raise UserError("cases belong to different patients in the tables, expected the same patients.")
