"""Which trainings there are and who does them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.commands.ablate.recipes import Recipe, share, trainings
from reactkd_auto.errors import UserError
from reactkd_auto.execution.parts import Part

RECIPES = (Recipe("baseline"), Recipe("auto"), Recipe("auto", "cross_fitted"))


@pytest.mark.parametrize(
    "text",
    [
        "auto",
        "auto:cross_fitted",
        "paper",
        "kd:pretrained",
        "auto:in_sample:pretrained_lora4",
        "auto:CT+FDG",
        "kd:pretrained:CT+FDG",
        "auto:FDG",
        "kd:in_sample:pretrained_lora4:FDG",
    ],
)
def test_a_recipe_is_called_what_it_is_asked_for(text):
    assert Recipe.parse(text).name == text


def test_the_rank_is_part_of_how_encoders_begin():
    recipes = [Recipe.parse(f"auto{more}") for more in ("", ":pretrained", ":in_sample:pretrained_lora12")]
    assert [r.lora_rank for r in recipes] == [None, None, 12]
    assert [(r.teachers, r.start is not None) for r in recipes] == [(None, False), (None, True), ("in_sample", True)]


def test_the_student_s_channels_stand_last_and_are_joined_by_plus():
    recipes = [Recipe.parse(f"auto{more}") for more in ("", ":CT+FDG", ":in_sample:pretrained:CT+FDG+ACE", ":FDG")]
    assert [r.channels for r in recipes] == [(), ("CT", "FDG"), ("CT", "FDG", "ACE"), ("FDG",)]
    started = [(None, None), (None, None), ("in_sample", "pretrained"), (None, None)]
    assert [(r.teachers, r.start) for r in recipes] == started


@pytest.mark.parametrize(
    "part",
    [
        "FDG:ACE",
        "CT+FDG:in_sample",
        "pretrained:in_sample",
        "in_sample:cross_fitted",
        "pretrained_lora",
        "pretrained_lora0",
        "",
    ],
)
def test_what_a_recipe_does_not_know_is_named(part):
    with pytest.raises(
        UserError, match=rf"recipe 'auto:{re.escape(part)}': found .*, expected in_sample or cross_fitted"
    ):
        Recipe.parse(f"auto:{part}")


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True),
    st.integers(1, 7),
)
def test_parts_do_every_training_once_and_keep_those_that_share_teachers_together(seeds, folds, num_parts):
    everything = trainings(RECIPES, seeds, folds)
    parts = [share(everything, Part(k, num_parts)) for k in range(num_parts)]
    assert sorted(map(str, everything)) == sorted(str(t) for part in parts for t in part)
    groups = [{(t.seed, t.fold) for t in part} for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1

    assert share(everything, None) == everything
