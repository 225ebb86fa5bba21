"""Means of checks of explanations: the patient is the unit of their intervals."""

import pytest

from reactkd_auto.evaluation.explanations import explanation_measures

VALUES = {f"c{i}": float(i % 4) for i in range(16)}


def test_a_measure_is_the_mean_of_its_cases_and_counts_its_patients():
    patients = {case: case[-1] for case in VALUES}
    found, nothing = explanation_measures({"deletion_area": VALUES, "energy_in_lesions": {}}, patients, seed=0)
    assert (found.n_cases, found.n_patients) == (16, 10)
    assert found.mean.value == pytest.approx(1.5)
    assert (nothing.n_cases, nothing.n_patients, nothing.mean.value) == (0, 0, None)


def test_cases_of_one_patient_stay_together():
    """Four equal cases a patient tell no more than one: the interval is as wide as that of four cases."""

    def width(values, patients):
        (measure,) = explanation_measures({"deletion_area": values}, patients, seed=0)
        return measure.mean.high - measure.mean.low

    four = width({f"c{i}": float(i) for i in range(4)}, {})
    assert width(VALUES, {case: str(value) for case, value in VALUES.items()}) == pytest.approx(four)
    assert width(VALUES, {}) < 0.75 * four


def test_the_same_seed_gives_the_same_interval():
    values = {case: value**1.5 for case, value in VALUES.items()}
    one, again, other = (explanation_measures({"deletion_area": values}, {}, seed=s) for s in (1, 1, 2))
    assert one == again != other
