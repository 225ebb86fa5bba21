import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.splits import Splits, read_splits, write_splits

SPLITS = Splits(seed=0, folds=2, assignment={"a": 0, "b": 1, "c": 0, "u": -1})


def test_splits_survive_a_round_trip(tmp_path):
    write_splits(tmp_path, SPLITS)
    assert read_splits(tmp_path) == SPLITS


def test_each_case_is_trained_on_or_held_out_and_never_both():
    for fold in range(2):
        training, held_out = set(SPLITS.training_cases(fold)), set(SPLITS.held_out_cases(fold))
        assert not training & held_out
        assert training | held_out == set(SPLITS.assignment)
        assert "u" in training


def test_two_folds_can_be_left_out_together():
    splits = Splits(0, 3, {"a": 0, "b": 1, "c": 2, "u": -1})
    assert splits.training_cases(0, 2) == ["b", "u"]
    assert splits.held_out_cases(0, 2) == ["a", "c"]


def test_unknown_fold_is_refused():
    with pytest.raises(UserError, match="fold 2: expected 0…1, or all"):
        SPLITS.training_cases(2)


def test_hash_sees_the_assignment_and_not_the_seed():
    assert SPLITS.hash == Splits(1, 2, dict(SPLITS.assignment)).hash
    assert SPLITS.hash != Splits(0, 2, {**SPLITS.assignment, "a": 1}).hash
