import os

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.model_folder import ModelConfig, ModelFolder, newest_model


def finish(model: ModelFolder, fold: int, when: float = 1.0) -> None:
    model.fold(fold).mkdir(parents=True)
    model.student_weights(fold).write_bytes(b"")
    os.utime(model.student_weights(fold), (when, when))


def test_only_finished_folds_count(tmp_path):
    model = ModelFolder(tmp_path)
    finish(model, 0)
    finish(model, 10)
    model.fold(2).mkdir()
    assert model.finished_folds() == [0, 10]
    assert model.choose_folds(None) == [0, 10]
    assert model.choose_folds([10]) == [10]
    with pytest.raises(UserError, match=r"fold 2 is not finished, expected out of \[0, 10\]"):
        model.choose_folds([0, 2])


def test_folder_without_a_finished_fold_says_so(tmp_path):
    with pytest.raises(UserError, match="no finished fold"):
        ModelFolder(tmp_path).choose_folds(None)
    with pytest.raises(UserError, match="no finished model found"):
        newest_model(tmp_path)


def test_newest_model_is_the_one_finished_last(tmp_path):
    finish(ModelFolder(tmp_path / "plan" / "auto_seed0"), 0, when=10.0)
    finish(ModelFolder(tmp_path / "plan" / "baseline_seed0"), 3, when=20.0)
    assert newest_model(tmp_path).path.name == "baseline_seed0"


def test_config_survives_a_round_trip(tmp_path):
    config = ModelConfig(preset="auto", channels=("CT",), seed=3)
    ModelFolder(tmp_path).write_config(config)
    assert ModelFolder(tmp_path).config == config
