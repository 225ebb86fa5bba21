"""Groups by further columns of the label table."""

import numpy as np
import pandas
import pytest
from sklearn.metrics import roc_auc_score

from reactkd_auto.evaluation.subgroups import subgroup_results
from tests.evaluation.test_metrics import table

CLASSES = ["benign", "malignant"]


def groups(rows, **columns):
    return subgroup_results(rows, pandas.DataFrame(columns, dtype=str), CLASSES, seed=0)


def test_each_value_of_a_column_is_judged_on_its_own_cases():
    rows = table(classes=CLASSES)
    site = np.where(np.arange(60) % 3 == 0, "Rome", "Oslo")
    found = {g.group: g for g in groups(rows, site=site)}
    assert list(found) == ["Oslo", "Rome"]
    for name, group in found.items():
        part = rows[site == name]
        assert group.n_cases == len(part)
        assert group.macro_auc.value == pytest.approx(roc_auc_score(part["label"] == "malignant", part["p_malignant"]))


def test_numbers_are_halved_at_their_median_and_empty_ones_are_unknown():
    age = [str(a) for a in range(40, 98)] + ["", ""]
    found = [(g.group, g.n_cases) for g in groups(table(classes=CLASSES), age=age)]
    assert found == [("≤ 68.5", 29), ("> 68.5", 29), ("unknown", 2)]


def test_zero_and_one_are_two_groups_not_two_halves():
    assert [g.group for g in groups(table(classes=CLASSES), smoker=["0", "1"] * 30)] == ["0", "1"]


def test_names_dates_and_constants_form_no_groups():
    rows = table(classes=CLASSES)
    assert groups(rows, name=[f"n{i}" for i in range(60)], scanner=["A"] * 60, empty=[""] * 60) == ()


def test_a_group_of_one_class_says_why_it_has_no_auc():
    rows = table(classes=CLASSES)
    first = groups(rows, known=rows["label"])[0]
    assert first.macro_auc.value is None
    assert "two classes" in first.macro_auc.reason
