"""Presets are data."""

import json
from dataclasses import replace

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.training import preset as module
from reactkd_auto.training.classification import loss_name
from reactkd_auto.training.preset import preset_names, read_preset

from .conftest import tiny_dataset


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_readable_and_named_as_its_file(name):
    preset = read_preset(name)
    assert preset.name == name
    assert preset.description


def test_auto_distils_as_the_method_says_and_baseline_learns_from_labels_alone():
    auto, baseline = read_preset("auto"), read_preset("baseline")
    assert (auto.alpha, auto.temperature, auto.node, auto.node_logit, auto.edge) == (0.7, 2.0, 1.0, 1.0, 0.1)
    assert auto.modality_dropout == 0.3
    assert not baseline.distil
    assert (baseline.alpha, baseline.node, baseline.node_logit, baseline.edge) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [("alpha", 1.5, "alpha 1.5, expected 0…1"), ("gamma", 1, "unknown key 'gamma'"), ("node", "x", "expected float")],
)
def test_a_wrong_preset_is_a_clear_error(tmp_path, monkeypatch, key, value, sentence):
    document = json.loads((module.FOLDER / "auto.json").read_text()) | {key: value}
    (tmp_path / "mine.json").write_text(json.dumps(document))
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=sentence):
        read_preset("mine")
    with pytest.raises(UserError, match="--preset other: unknown, expected one of mine"):
        read_preset("other")


def test_students_see_the_base_and_what_the_preset_adds():
    dataset = tiny_dataset(tracers=2)
    assert read_preset("auto").channels(dataset) == ("CT",)
    assert replace(read_preset("auto"), student_channels=("PET1", "CT")).channels(dataset) == ("CT", "PET1")
    with pytest.raises(UserError, match="'MR' is unknown"):
        replace(read_preset("auto"), student_channels=("MR",)).channels(dataset)


def test_ordered_classes_get_the_ordinal_loss_where_there_are_more_than_two():
    auto, dataset = read_preset("auto"), tiny_dataset()
    assert loss_name(auto, dataset) == "focal"
    assert loss_name(auto, replace(dataset, classes_ordered=True)) == "focal"
    assert loss_name(auto, replace(dataset, classes=("a", "b", "c"), classes_ordered=True)) == "ordinal"
    assert loss_name(replace(auto, classification="cross_entropy"), dataset) == "cross_entropy"
