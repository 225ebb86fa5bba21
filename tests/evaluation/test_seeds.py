"""Recipes over several seeds on the same patients."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reactkd_auto.errors import UserError
from reactkd_auto.evaluation.paired import paired_auc_difference
from reactkd_auto.evaluation.seeds import compare_recipes
from tests.evaluation.test_metrics import table

CLASSES = ["benign", "malignant"]
SHIFTS = {"good": 1.5, "plain": 0.5}


def of_model(seed, shift, n=80):
    return table(seed, n=n, shift=shift, classes=CLASSES)


def auc(rows):
    return roc_auc_score(rows["label"] == "malignant", rows["p_malignant"])


def test_means_and_spread_over_seeds_are_those_of_the_single_areas():
    tables = {
        name: {s: of_model(10 * s + i, shift) for s in range(3)} for i, (name, shift) in enumerate(SHIFTS.items())
    }
    found = compare_recipes(tables, CLASSES, reference="plain", seed=0, replicates=200)
    good, plain = found.recipes
    areas = {name: np.array([auc(t) for t in by_seed.values()]) for name, by_seed in tables.items()}
    assert good.per_seed == pytest.approx(areas["good"])
    assert good.auc.value == pytest.approx(areas["good"].mean())
    assert good.seed_sd == pytest.approx(areas["good"].std(ddof=1))
    assert good.difference.value == pytest.approx((areas["good"] - areas["plain"]).mean())
    assert good.difference_sd == pytest.approx((areas["good"] - areas["plain"]).std(ddof=1))
    assert good.difference.low < good.difference.value < good.difference.high
    assert plain.difference is None
    assert (found.seeds, found.n_cases, found.n_left_out) == ((0, 1, 2), 80, 0)


def test_with_one_seed_it_is_the_paired_difference_of_two_models():
    a, b = of_model(0, 1.5), of_model(1, 0.5)
    recipe = compare_recipes({"a": {4: a}, "b": {4: b}}, CLASSES, reference="b", seed=3).recipes[0]
    pair = paired_auc_difference(a, b, CLASSES, seed=3)
    assert (recipe.difference, recipe.p_value) == (pair.difference, pair.p_value)
    assert recipe.seed_sd is None


def test_more_seeds_narrow_no_interval_of_patients():
    """The same answers under three seeds say nothing more about patients than under one."""
    a, b = of_model(0, 1.5), of_model(1, 0.5)
    once = compare_recipes({"a": {0: a}, "b": {0: b}}, CLASSES, reference="b", seed=0).recipes[0]
    thrice = compare_recipes(
        {"a": dict.fromkeys(range(3), a), "b": dict.fromkeys(range(3), b)}, CLASSES, reference="b", seed=0
    ).recipes[0]
    assert thrice.difference.low == pytest.approx(once.difference.low)
    assert thrice.difference.high == pytest.approx(once.difference.high)
    assert thrice.seed_sd == pytest.approx(0, abs=1e-12)


def test_the_interval_of_the_difference_covers_the_truth():
    """Two models of equal quality: the 95 % interval holds 0 in 95 % of cohorts."""
    covered = []
    for cohort in range(100):
        tables = {
            n: {s: of_model(1000 * cohort + 10 * s + i + 7, 0.8, n=60) for s in (0, 1)} for i, n in enumerate("ab")
        }
        d = compare_recipes(tables, CLASSES, reference="b", seed=cohort, replicates=300).recipes[0].difference
        covered.append(d.low <= 0 <= d.high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_only_cases_that_all_classified_count():
    a, b = of_model(0, 1.5), of_model(1, 0.5)
    b.loc[:9, "status"] = "not classified"
    found = compare_recipes({"a": {0: a}, "b": {0: b}}, CLASSES, reference="b", seed=0)
    assert (found.n_cases, found.n_left_out) == (70, 10)


def test_recipes_of_other_seeds_or_labels_are_refused():
    a, b = of_model(0, 1.5), of_model(1, 0.5)
    with pytest.raises(UserError, match=r"a: seeds \[1\], expected \[0\] as b"):
        compare_recipes({"a": {1: a}, "b": {0: b}}, CLASSES, reference="b", seed=0)
    b.loc[0, "label"] = "malignant"
    with pytest.raises(UserError, match="case 'c000': label benign in one table and malignant in another"):
        compare_recipes({"a": {0: a}, "b": {0: b}}, CLASSES, reference="a", seed=0)
