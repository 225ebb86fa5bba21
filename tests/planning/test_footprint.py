"""The closed form by which rules choose, against the count that stands in the plan."""

import pytest

from reactkd_auto.networks.cost import training_cost
from reactkd_auto.plan import GIGABYTE
from reactkd_auto.planning.rules.hardware import Hardware
from tests.planning.cohorts import CT, FDG, MR, new_dataset, plan_of, planned_gigabytes, sarcoma_like


@pytest.mark.parametrize("gigabytes", [80.0, 24.0, 11.0, 4.0])
def test_the_closed_form_is_within_15_percent_of_the_count(gigabytes):
    dataset = new_dataset((CT, FDG, MR))
    plan = plan_of(sarcoma_like(), dataset, hardware=Hardware("cuda", gigabytes))
    counted = training_cost(plan, dataset).teachers.peak / GIGABYTE
    assert planned_gigabytes(plan, dataset) == pytest.approx(counted, rel=0.15)
