import dataclasses

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_json, write_json
from reactkd_auto.plan import STAGES, read_plan, write_plan
from tests.builders import small_plan


def test_plan_survives_a_round_trip_with_reasons_and_choices(tmp_path):
    plan = small_plan(chosen_by_user=("batch_size",))
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json") == plan


def test_each_value_stands_beside_its_reason_and_source(tmp_path):
    write_plan(tmp_path / "plan.json", small_plan(chosen_by_user=("batch_size",)))
    document = read_json(tmp_path / "plan.json")
    assert document["spacing_mm"] == {"value": [3.0, 2.0, 2.0], "reason": "because", "source": "rule"}
    assert document["batch_size"]["source"] == "user"
    assert tuple(document["stages"]) == STAGES


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("surprise", 1, "unknown key 'surprise'"),
        ("batch_size", {"value": 2}, "batch_size: expected an object with value, reason and source"),
        ("batch_size", {"value": "two", "reason": "", "source": "rule"}, "batch_size: found 'two', expected int"),
        ("schema_version", 99, "schema_version 99"),
    ],
)
def test_foreign_plan_is_refused_by_key(tmp_path, key, value, message):
    write_plan(tmp_path / "plan.json", small_plan())
    write_json(tmp_path / "plan.json", {**read_json(tmp_path / "plan.json"), key: value})
    with pytest.raises(UserError, match=r"plan\.json") as error:
        read_plan(tmp_path / "plan.json")
    assert message in str(error.value)


def test_missing_key_is_named(tmp_path):
    write_plan(tmp_path / "plan.json", small_plan())
    document = read_json(tmp_path / "plan.json")
    del document["dose"]
    write_json(tmp_path / "plan.json", document)
    with pytest.raises(UserError, match="key 'dose' is missing"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_of_another_release_is_told_from_a_spoilt_one(tmp_path):
    write_plan(tmp_path / "plan.json", small_plan())
    document = read_json(tmp_path / "plan.json")
    del document["training"]["value"]["graded_share"]
    write_json(tmp_path / "plan.json", document | {"schema_version": 1})
    with pytest.raises(UserError, match=r"plan\.json: made by another release \(schema_version 1\), expected 2; plan"):
        read_plan(tmp_path / "plan.json")


def test_hash_sees_values_and_not_reasons():
    plan = small_plan()
    assert plan.hash == dataclasses.replace(plan, reasons={}).hash
    assert plan.hash != dataclasses.replace(plan, batch_size=3).hash


def test_cumulative_stride_multiplies_down_to_the_stage():
    network = small_plan().network
    assert [network.cumulative_stride(i) for i in range(3)] == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
