from collections import Counter

import pytest

from reactkd_auto.dataset import Channel
from reactkd_auto.planning.splits import split
from tests.planning.cohorts import CT, FDG, new_case, new_dataset


def several_cases_a_patient(patients=40):
    """Two cases a patient, every third patient of class 1."""
    return [new_case(2 * p + k, patient=f"p{p:03d}", label=int(p % 3 == 0)) for p in range(patients) for k in range(2)]


def test_a_patient_is_in_one_fold_only():
    cases = several_cases_a_patient()
    splits = split(cases, classes=2, folds=5, seed=3)
    folds = {c.patient: set() for c in cases}
    for case in cases:
        folds[case.patient].add(splits.assignment[case.case])
    assert all(len(f) == 1 for f in folds.values())
    assert set(splits.assignment.values()) == set(range(5))


@pytest.mark.parametrize(("positive", "count"), [(14, 42), (5, 12), (9, 31)])
def test_every_fold_holds_its_share_of_each_class(positive, count):
    cases = [new_case(i, label=int(i < positive)) for i in range(count)]
    splits = split(cases, classes=2, folds=5, seed=0)
    for label in (0, 1):
        held_out = Counter(splits.assignment[c.case] for c in cases if c.label == label)
        sizes = [held_out[f] for f in range(5)]
        assert max(sizes) - min(sizes) <= 1


def test_fold_sizes_are_even():
    cases = [new_case(i, label=i % 3) for i in range(47)]
    sizes = Counter(split(cases, classes=3, folds=5, seed=0).assignment.values()).values()
    assert max(sizes) - min(sizes) <= 1


def test_tracers_are_spread_over_the_folds():
    dataset = new_dataset((CT, FDG, Channel("ACE", "pet_suv")))
    cases = [new_case(i, dataset, label=0, present=(True, True, i < 10)) for i in range(40)]
    splits = split(cases, classes=2, folds=5, seed=1)
    with_tracer = Counter(splits.assignment[c.case] for c in cases if c.present[2])
    assert [with_tracer[f] for f in range(5)] == [2] * 5


def test_ungraded_patients_are_always_trained_on_but_an_ungraded_case_of_a_graded_patient_is_held_out():
    cases = [new_case(i) for i in range(20)]
    cases += [new_case(20, label=None), new_case(21, patient=cases[0].patient, label=None)]
    splits = split(cases, classes=2, folds=4, seed=0)
    assert splits.assignment[cases[20].case] == -1
    assert splits.assignment[cases[21].case] == splits.assignment[cases[0].case] >= 0


def test_the_seed_decides_and_the_order_of_cases_does_not():
    cases = several_cases_a_patient()
    splits = split(cases, classes=2, folds=5, seed=0)
    assert split(cases[::-1], classes=2, folds=5, seed=0) == splits
    assert split(cases, classes=2, folds=5, seed=1).hash != splits.hash


def test_assignments_stay_when_cases_are_added_or_removed_and_new_ones_even_out():
    cases = [new_case(i) for i in range(30)]
    before = split(cases[3:20], classes=2, folds=5, seed=0)
    after = split(cases, classes=2, folds=5, seed=0, existing=before)
    assert {c: after.assignment[c] for c in before.assignment} == before.assignment
    for label in (0, 1):
        sizes = Counter(after.assignment[c.case] for c in cases if c.label == label).values()
        assert max(sizes) - min(sizes) <= 1


def test_a_patient_that_was_ungraded_gets_a_fold_once_it_is_graded():
    cases = [new_case(i) for i in range(12)]
    before = split([*cases[:11], new_case(11, label=None)], classes=2, folds=3, seed=0)
    after = split(cases, classes=2, folds=3, seed=0, existing=before)
    assert before.assignment[cases[11].case] == -1
    assert after.assignment[cases[11].case] >= 0


def test_a_further_case_of_a_known_patient_joins_its_fold():
    cases = [new_case(i) for i in range(12)]
    before = split(cases, classes=2, folds=3, seed=0)
    joined = new_case(99, patient=cases[4].patient, label=1)
    after = split([*cases, joined], classes=2, folds=3, seed=0, existing=before)
    assert after.assignment[joined.case] == before.assignment[cases[4].case]


def test_another_number_of_folds_or_seed_starts_anew():
    cases = [new_case(i) for i in range(30)]
    before = split(cases, classes=2, folds=5, seed=0)
    assert split(cases, classes=2, folds=3, seed=0, existing=before) == split(cases, classes=2, folds=3, seed=0)
    assert split(cases, classes=2, folds=5, seed=7, existing=before) == split(cases, classes=2, folds=5, seed=7)
