from dataclasses import replace

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.structure_alone import check_structure_alone

from .conftest import tiny_dataset, tiny_plan

ALONE, TOGETHER = read_preset("without_dose_teacher"), read_preset("auto")


@pytest.fixture
def cases(make_properties):
    return [make_properties(f"c{i}", i % 2, present=(True, i != 1)) for i in range(3)]


def test_where_every_case_has_a_privileged_channel_it_may(cases):
    check_structure_alone(ALONE, tiny_plan(tiny_dataset()), [c for c in cases if c.present[1]])


def test_a_case_without_one_is_named(cases):
    with pytest.raises(UserError, match=r"without_dose_teacher: 1 of 3 cases have no privileged channel \(first c1\)"):
        check_structure_alone(ALONE, tiny_plan(tiny_dataset()), cases)
    check_structure_alone(TOGETHER, tiny_plan(tiny_dataset()), cases)


def test_a_plan_without_that_teacher_is_refused(cases):
    plan = replace(tiny_plan(tiny_dataset()), structure_function_teacher=False)
    with pytest.raises(UserError, match="the plan has no structure-function teacher, expected one"):
        check_structure_alone(ALONE, plan, cases[:1])
    check_structure_alone(TOGETHER, plan, cases[:1])
