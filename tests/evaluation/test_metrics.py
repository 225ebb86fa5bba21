"""The evaluation of a table in memory, and two tables compared."""

import numpy as np
import pandas
import pytest
from sklearn import metrics as sk

from reactkd_auto.errors import UserError
from reactkd_auto.evaluation.metrics import Evaluation, evaluate_predictions
from reactkd_auto.evaluation.paired import paired_auc_difference
from reactkd_auto.jsonio import read_document, write_json

CLASSES = ["low", "middle", "high"]


def table(seed=0, n=60, shift=1.2, classes=CLASSES, patients=None):
    """Predictions of a model whose scores lie ``shift`` above the others' for the true class; labels by position."""
    generator = np.random.default_rng(seed)
    k = len(classes)
    labels = np.arange(n) % k
    odds = np.exp(generator.normal(size=(n, k)) + shift * np.eye(k)[labels])
    p = odds / odds.sum(axis=1, keepdims=True)
    rows = pandas.DataFrame({"case": [f"c{i:03d}" for i in range(n)], "label": [classes[i] for i in labels]})
    rows["status"] = "classified"
    rows["predicted_class"] = [classes[i] for i in p.argmax(axis=1)]
    rows[[f"p_{c}" for c in classes]] = p
    if patients is not None:
        rows["patient"] = patients
    return rows


def test_numbers_equal_scikit_learn_and_lie_in_their_intervals():
    rows = table()
    e = evaluate_predictions(rows, CLASSES, ordered=True, seed=0)
    p = rows[[f"p_{c}" for c in CLASSES]].to_numpy()
    labels, predicted = (rows[c].map(CLASSES.index).to_numpy() for c in ("label", "predicted_class"))
    assert e.macro_auc.value == pytest.approx(sk.roc_auc_score(labels, p, multi_class="ovr"))
    assert e.accuracy.value == pytest.approx(sk.accuracy_score(labels, predicted))
    assert e.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert e.f1_macro.value == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert e.quadratic_kappa.value == pytest.approx(sk.cohen_kappa_score(labels, predicted, weights="quadratic"))
    for k, c in enumerate(e.per_class):
        assert c.auc.value == pytest.approx(sk.roc_auc_score(labels == k, p[:, k]))
        assert c.sensitivity.value == pytest.approx(sk.recall_score(labels == k, predicted == k))
        assert c.specificity.value == pytest.approx(sk.recall_score(labels != k, predicted != k))
        assert c.auc.low < c.auc.value < c.auc.high
    for x in (e.macro_auc, e.accuracy, e.balanced_accuracy, e.f1_macro, e.quadratic_kappa, e.brier):
        assert x.low < x.value < x.high
        assert x.method


def test_the_predicted_class_of_the_table_counts_not_the_highest_probability():
    rows = table()
    rows["predicted_class"] = "low"
    assert evaluate_predictions(rows, CLASSES, ordered=False, seed=0).accuracy.value == pytest.approx(1 / 3)


def test_kappa_needs_an_order():
    e = evaluate_predictions(table(), CLASSES, ordered=False, seed=0)
    assert e.quadratic_kappa.value is None
    assert "not ordered" in e.quadratic_kappa.reason


def test_unanswered_and_ungraded_cases_are_counted_apart_and_in_no_score():
    rows = table().astype({"label": object})
    rows["reason"] = ""
    alone = evaluate_predictions(rows.iloc[4:], CLASSES, ordered=False, seed=0)
    rows.loc[0, ["status", "reason"]] = ["not classified", "no region found"]
    rows.loc[0, ["p_low", "p_middle", "p_high"]] = np.nan
    rows.loc[[1, 2, 3], "label"] = ["", None, np.nan]
    e = evaluate_predictions(rows, CLASSES, ordered=False, seed=0, n_without_prediction=5)
    assert (e.n_cases, e.n_not_classified, e.n_ungraded, e.n_without_prediction) == (56, 1, 3, 5)
    assert [(u.case, u.label, u.reason) for u in e.not_classified] == [("c000", "low", "no region found")]
    assert [c.n_not_classified for c in e.per_class] == [1, 0, 0]
    assert e.macro_auc == alone.macro_auc
    assert np.sum(e.confusion) == 56


def test_nothing_classified_gives_reasons_not_numbers():
    rows = table(n=6)
    rows["status"] = "not classified"
    e = evaluate_predictions(rows, CLASSES, ordered=True, seed=0)
    assert e.n_cases == 0
    assert e.n_not_classified == 6
    for x in (e.macro_auc, e.balanced_accuracy, e.brier, e.calibration_slope, e.per_class[0].auc):
        assert x.value is None
        assert x.reason


def test_a_single_case_is_evaluated_as_far_as_it_goes():
    e = evaluate_predictions(table(n=1), CLASSES, ordered=True, seed=0)
    assert e.macro_auc.value is None
    assert e.accuracy.value in (0, 1)


def test_patients_are_counted_and_default_to_cases():
    rows = table(patients=[f"P{i // 3}" for i in range(60)])
    assert evaluate_predictions(rows, CLASSES, ordered=False, seed=0).n_patients == 20
    rows.loc[:5, "patient"] = ""
    assert evaluate_predictions(rows, CLASSES, ordered=False, seed=0).n_patients == 24
    assert evaluate_predictions(table(), CLASSES, ordered=False, seed=0).n_patients == 60


def test_each_fold_is_judged_alone():
    rows = table()
    rows["fold"] = np.arange(60) // 30
    e = evaluate_predictions(rows, CLASSES, ordered=False, seed=0)
    second = evaluate_predictions(rows.iloc[30:], CLASSES, ordered=False, seed=0)
    assert [(f.fold, f.n_cases) for f in e.per_fold] == [("0", 30), ("1", 30)]
    assert e.per_fold[1].macro_auc == second.macro_auc
    assert second.per_fold == ()


def test_same_seed_same_evaluation():
    one, again, other = (evaluate_predictions(table(), CLASSES, ordered=True, seed=s) for s in (3, 3, 4))
    assert one == again
    assert one.accuracy.value == other.accuracy.value
    assert one.macro_auc != other.macro_auc


def test_evaluation_survives_its_json(tmp_path):
    e = evaluate_predictions(table(), CLASSES, ordered=False, seed=0)
    write_json(tmp_path / "metrics.json", e)
    assert read_document(Evaluation, tmp_path / "metrics.json") == e


def test_an_unknown_class_in_memory_is_named():
    rows = table()
    rows.loc[3, "label"] = "medium"
    with pytest.raises(UserError, match="'medium'"):
        evaluate_predictions(rows, CLASSES, ordered=False, seed=0)
    with pytest.raises(UserError, match="'p_middle'"):
        evaluate_predictions(table().drop(columns="p_middle"), CLASSES, ordered=False, seed=0)


def test_a_model_equals_itself_and_the_order_of_rows_does_not_matter():
    d = paired_auc_difference(table(), table().iloc[::-1], CLASSES, seed=0, replicates=200)
    assert (d.difference.value, d.difference.low, d.difference.high) == (0, 0, 0)
    assert d.p_value == 1


def test_the_better_model_wins_and_swapping_mirrors():
    good, bad = table(seed=1, n=120, shift=2.5), table(seed=2, n=120, shift=0.3)
    d, swapped = (paired_auc_difference(*t, CLASSES, seed=0) for t in ((good, bad), (bad, good)))
    assert d.difference.low > 0
    assert d.p_value < 0.01
    assert swapped.difference.value == pytest.approx(-d.difference.value)
    assert swapped.difference.low == pytest.approx(-d.difference.high)
    assert d.auc_a - d.auc_b == pytest.approx(d.difference.value)


def test_paired_interval_equals_delong_for_two_correlated_models():
    from reactkd_auto.evaluation.auc import delong_components

    classes = ["no", "yes"]
    a, b = (table(seed=s, n=160, shift=1.0, classes=classes) for s in (1, 2))
    mixed = (a["p_yes"] + b["p_yes"]) / 2
    b["p_yes"], b["p_no"] = mixed, 1 - mixed
    positive = (a["label"] == "yes").to_numpy()
    parts = [delong_components(positive, t["p_yes"].to_numpy()) for t in (a, b)]
    variance = sum((parts[0][i] - parts[1][i]).var(ddof=1) / 80 for i in (0, 1))
    d = paired_auc_difference(a, b, classes, seed=0).difference
    assert d.high - d.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.12)


def test_only_cases_that_both_models_answered_are_compared():
    a, b = table(), table(seed=1)
    b.loc[[0, 1], "status"] = "not classified"
    d = paired_auc_difference(a.iloc[:-3], b, CLASSES, seed=0, replicates=50)
    assert (d.n_cases, d.n_left_out) == (55, 5)


def test_tables_with_other_labels_or_patients_are_refused():
    other = table()
    other.loc[4, "label"] = "low"
    with pytest.raises(UserError, match="c004"):
        paired_auc_difference(table(), other, CLASSES, seed=0)
    with pytest.raises(UserError, match="patients"):
        paired_auc_difference(table(), table(patients=["x"] * 60), CLASSES, seed=0)


def test_no_common_case_gives_a_reason():
    other = table()
    other["case"] = "d" + other["case"]
    d = paired_auc_difference(table(), other, CLASSES, seed=0)
    assert d.n_cases == 0
    assert d.difference.value is None
    assert d.p_value is None
