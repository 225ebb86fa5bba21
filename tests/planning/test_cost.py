"""The predicted cost in the plan, and that it is counted once."""

from dataclasses import replace

import pytest

from reactkd_auto.plan import StepCost, TrainingCost, read_plan, write_plan
from reactkd_auto.planning import cost
from reactkd_auto.planning.cost import with_cost
from reactkd_auto.planning.report.contents import value_lines
from reactkd_auto.planning.table import plan_table
from tests.planning.cohorts import new_case, new_dataset, plan_of

STEP = StepCost(5 * 2**30, *[2**30 * part // 8 for part in (2, 2, 2, 4, 6, 16, 8)], flops=3 * 10**12)
COST = TrainingCost(STEP, replace(STEP, peak=2**30), None)


@pytest.fixture
def counted(monkeypatch):
    """Plans that were counted."""
    plans = []

    def count(plan, dataset):
        plans.append(plan)
        return COST

    monkeypatch.setattr(cost, "training_cost", count)
    return plans


@pytest.fixture
def plan():
    return plan_of([new_case(i) for i in range(20)])


def test_a_plan_that_was_counted_is_not_counted_again(tmp_path, plan, counted):
    path = tmp_path / "plan.json"
    first = with_cost(plan, new_dataset(), path)
    write_plan(path, first)
    assert with_cost(plan, new_dataset(), path) == first == read_plan(path)
    assert len(counted) == 1
    with_cost(replace(plan, batch_size=plan.batch_size + 1), new_dataset(), path)
    assert len(counted) == 2


def test_an_unreadable_earlier_plan_does_not_matter(tmp_path, plan, counted):
    (tmp_path / "plan.json").write_text("{}")
    assert with_cost(plan, new_dataset(), tmp_path / "plan.json").cost == COST
    assert len(counted) == 1


def test_a_prediction_does_not_change_the_plans_identity(tmp_path, plan, counted):
    assert with_cost(plan, new_dataset(), tmp_path / "none.json").hash == plan.hash


def test_table_and_page_say_the_peak_and_what_it_is_made_of(tmp_path, plan, counted):
    costed = with_cost(plan, new_dataset(), tmp_path / "none.json")
    assert "5.00 GB of tensors" in " ".join(plan_table(costed, width=4000).split())
    lines = dict(value_lines(costed.cost))
    assert lines["teachers"].startswith(
        "5.00 GB (activations 2.00, working 1.00, batch 0.75, optimiser 0.50, weights 0.25"
    )
    assert lines["teachers"].endswith("3 TFLOP")
    assert lines["localiser"] == "none"
