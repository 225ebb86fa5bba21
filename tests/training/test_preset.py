"""Presets are data."""

import json
import typing
from dataclasses import replace

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.training import preset as module
from reactkd_auto.training.classification import loss_name
from reactkd_auto.training.losses import CLASSIFICATION, DISTILLATION
from reactkd_auto.training.preset import ClassificationName, LossName, preset_names, read_preset, read_teacher_recipe
from tests.conftest import ROOT

from .conftest import tiny_dataset


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_readable_and_named_as_its_file(name):
    preset = read_preset(name)
    assert preset.name == name
    assert preset.description
    assert preset.source
    assert preset.teachers is None or read_teacher_recipe(preset.teachers).name == preset.teachers


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_stands_in_the_documentation_as_it_is(name):
    preset = read_preset(name)
    rows = (ROOT / "documentation" / "explanation" / "method.md").read_text(encoding="utf-8").splitlines()
    row = next(row for row in rows if row.startswith(f"| `{name}` | labels"))
    weights = {"labels": preset.label_weight, **preset.losses}
    assert " · ".join(f"{loss} {weight:g}" for loss, weight in weights.items()) in row
    assert preset.source in row


def test_every_loss_has_a_preset_and_every_name_a_loss():
    assert set(DISTILLATION) == set(typing.get_args(LossName))
    assert set(CLASSIFICATION) == set(typing.get_args(ClassificationName))
    assert {loss for name in preset_names() for loss in read_preset(name).losses} == set(DISTILLATION)


def test_auto_distils_as_the_method_says_and_baseline_learns_from_labels_alone():
    auto, baseline = read_preset("auto"), read_preset("baseline")
    assert auto.losses == {"kl": 0.7, "node": 1.0, "node_logit": 1.0, "edge": 0.1}
    assert (auto.label_weight, auto.temperature) == (0.3, 2.0)
    assert read_teacher_recipe("auto").modality_dropout == 0.3
    assert not baseline.distil
    assert baseline.losses == {}


def test_paper_is_the_recipe_of_the_paper():
    paper = read_preset("paper")
    assert paper.classification == "focal"
    assert paper.losses == {"kl": 0.7, "node": 1.0, "edge": 1.0, "gw": 1.0}
    assert (paper.label_weight, paper.temperature) == (0.3, 2.0)
    assert read_teacher_recipe(paper.teachers).encoder == "swin"


def test_the_paper_s_losses_with_light_teachers_differ_from_its_recipe_by_the_teachers_alone():
    paper, light = read_preset("paper"), read_preset("paper_losses")
    assert light == replace(paper, name=light.name, description=light.description, teachers="auto")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("temperature", 0, "temperature 0.0, expected > 0"),
        ("gamma", 1, "unknown key 'gamma'"),
        ("label_weight", "x", "expected float"),
        ("losses", {"kl": -1}, "kl -1.0, expected 0 or more"),
        ("losses", {"gkd": 1}, "losses: 'gkd' is unknown, expected out of kl, mse"),
        ("losses", {}, "teachers auto with 0 losses, expected both or neither"),
        ("teachers", None, "teachers None with 4 losses, expected both or neither"),
        ("modality_dropout", 1.0, "modality_dropout 1.0, expected 0 ≤ p < 1"),
    ],
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
    assert loss_name(auto.classification, dataset) == "focal"
    assert loss_name(auto.classification, replace(dataset, classes_ordered=True)) == "focal"
    assert loss_name(auto.classification, replace(dataset, classes=("a", "b", "c"), classes_ordered=True)) == "ordinal"
    assert loss_name("cross_entropy", dataset) == "cross_entropy"
