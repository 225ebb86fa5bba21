import numpy as np
import pytest

from reactkd_auto.cases import finished_cases, read_case, read_coarse, read_properties, write_case
from reactkd_auto.plan import DosePlan
from tests.builders import random_case, small_dataset, small_plan

ARRAYS = ("image", "valid", "nodes", "noise", "log_ratio")


@pytest.mark.parametrize("dose", [True, False])
def test_case_survives_a_round_trip(tmp_path, dose):
    plan = small_plan(dose=DosePlan(dose, (0.05, 1.0), (0.05, 0.25)))
    case = random_case("a", plan=plan, dataset=small_dataset())
    write_case(tmp_path, case)
    properties = read_properties(tmp_path, "a")
    assert properties == case.properties
    back = read_case(tmp_path, properties)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(case, name))
        assert getattr(back, name).dtype == getattr(case, name).dtype
    np.testing.assert_array_equal(read_coarse(tmp_path, "a"), case.coarse)


def test_window_reads_the_same_voxels_as_the_whole(tmp_path):
    plan = small_plan()
    case = random_case("a", plan=plan, dataset=small_dataset())
    write_case(tmp_path, case)
    window = (slice(2, 18), slice(1, 17), slice(4, 20))
    part = read_case(tmp_path, case.properties, window)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(part, name), getattr(case, name)[(..., *window)])


def test_case_without_its_json_is_not_finished(tmp_path):
    plan = small_plan()
    write_case(tmp_path, random_case("a", plan=plan, dataset=small_dataset()))
    write_case(tmp_path, random_case("b", plan=plan, dataset=small_dataset()))
    (tmp_path / "b.json").unlink()
    assert finished_cases(tmp_path) == ["a"]
