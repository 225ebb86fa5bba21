import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.fingerprint import ScanInfo
from reactkd_auto.planning.report.contents import decisions, facts, folds, scanners, value_lines
from reactkd_auto.planning.report.groups import UNGRADED, by_class
from reactkd_auto.planning.report.histograms import bin_edges
from reactkd_auto.planning.report.montage import chosen
from reactkd_auto.planning.splits import split
from reactkd_auto.planning.table import LABELS
from tests.builders import small_plan
from tests.planning.cohorts import CT, FDG, new_case, new_dataset

DATASET = new_dataset((CT, FDG))


def test_every_planned_value_is_a_decision_with_its_parts():
    plan = small_plan(chosen_by_user=("batch_size",))
    found = {d.field: d for d in decisions(plan)}
    assert list(found) == list(LABELS)
    assert found["batch_size"].by_user
    assert not found["spacing_mm"].by_user
    assert found["spacing_mm"].lines == (("", "3 2 2"),)
    assert ("lesions", "2") in found["graph"].lines
    assert [name for name, _ in value_lines(plan.normalisation)] == ["CT", "FDG", "ACE"]


def test_folds_count_cases_patients_classes_and_tracers_and_ungraded_patients_stand_last():
    cases = [new_case(i, DATASET, patient=f"p{i // 2}", label=i // 2 % 2) for i in range(12)]
    cases += [new_case(12, DATASET, label=None, present=(True, False))]
    rows = folds(cases, split(cases, classes=2, folds=3, seed=0), DATASET)
    assert [r.name for r in rows] == ["0", "1", "2", "always trained on"]
    assert [(r.cases, r.patients) for r in rows] == [(4, 2)] * 3 + [(1, 1)]
    assert [[len(g.cases) for g in r.groups] for r in rows] == [[2, 2]] * 3 + [[0, 0, 1]]
    assert [r.channels for r in rows] == [(4,)] * 3 + [(0,)]


def test_classes_without_cases_keep_their_place_and_ungraded_cases_come_last():
    cases = [new_case(0, DATASET, label=1), new_case(1, DATASET, label=None)]
    assert [(g.name, len(g.cases)) for g in by_class(cases, DATASET)] == [("low", 0), ("high", 1), (UNGRADED, 1)]


@pytest.mark.parametrize(("most", "names"), [(1, ["c2"]), (2, ["c2", "c4"]), (3, ["c0", "c2", "c4"])])
def test_the_montage_shows_the_median_then_the_largest_then_the_smallest_in_order_of_size(most, names):
    cases = [new_case(i, DATASET, case=f"c{i}", label=0, lesions=(100.0 * (i + 1),)) for i in range(6)]
    (group, _) = by_class(cases, DATASET)
    preprocessed = {f"c{i}": 0 for i in range(5)}  # the sixth failed
    assert [c.case for c, _ in chosen(group, preprocessed, most)] == names


def test_sites_and_scanners_are_counted_and_cases_of_which_nothing_is_known_too():
    scan = ScanInfo("Acme One", "B30f", 120.0)
    cases = [new_case(i, DATASET, scan=scan if i < 3 else None, site="North" if i < 2 else "") for i in range(5)]
    assert scanners(cases) == [
        ("North", "Acme One", "B30f", "120 kV", 2),
        ("–", "–", "–", "–", 2),
        ("–", "Acme One", "B30f", "120 kV", 1),
    ]
    assert scanners(cases[3:]) == []


def test_sites_are_a_fact():
    cases = [new_case(i, DATASET, site="NS"[i % 2]) for i in range(4)]
    found = facts(cases, DATASET, small_plan(), split(cases, classes=2, folds=2, seed=0))
    assert found[1] == ("4", "patients", "in 2 folds, 2 sites")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_bins_rise_and_hold_every_value(values):
    edges = bin_edges(np.array(values))
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= min(values)
    assert edges[-1] >= max(values)
