"""A teacher that knows no more than the CT is switched off, and the log says so."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.training import teacher_choice as module
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.teacher_choice import choose_teachers

from .conftest import tiny_dataset, tiny_plan


@pytest.fixture
def run(make_properties):
    """60 graded cases with PET, and one ungraded; the preset asks all three teachers."""
    cases = [make_properties(f"c{i:02d}", i % 2, present=(True, True)) for i in range(60)]
    cases.append(make_properties("u", None, present=(True, True)))
    return SimpleNamespace(
        preset=read_preset("mean_teachers"), plan=tiny_plan(tiny_dataset()), training_cases=lambda fold: cases
    )


def know(monkeypatch, run, **separation: float) -> None:
    """Out-of-fold logits whose classes are so many standard deviations apart."""
    noise = np.random.default_rng(0).normal(size=len(run.training_cases(0)))
    logits = {
        head: {
            c.case: [0.0, float(z + apart * ((c.label or 0) - 0.5))]
            for c, z in zip(run.training_cases(0), noise, strict=True)
        }
        for head, apart in separation.items()
    }
    monkeypatch.setattr(module, "training_logits", lambda run, fold: logits)


def test_teachers_that_beat_the_ct_teach_with_their_losses_out_of_fold(run, monkeypatch, caplog):
    know(monkeypatch, run, fused=3.0, structure=2.0, dose=0.5)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        choice = choose_teachers(run, 0)
    assert choice.heads == ("fused", "structure", "dose")
    assert sorted(choice.losses) == list(choice.losses)
    assert "teacher fused teaches: out of fold its AUC is 0.9" in caplog.text


def test_a_teacher_no_better_than_the_ct_is_switched_off(run, monkeypatch, caplog):
    know(monkeypatch, run, fused=3.0, structure=0.5, dose=0.5)
    assert choose_teachers(run, 1).heads == ("fused", "dose")
    assert "fold 1: teacher structure is switched off: out of fold its AUC is 0." in caplog.text
    assert "(60 cases)" in caplog.text


def test_the_dose_teacher_stands_in_where_the_fused_one_alone_was_wanted(run, monkeypatch):
    know(monkeypatch, run, fused=0.2, structure=3.0, dose=0.5)
    run.preset = read_preset("auto")
    assert choose_teachers(run, 0).heads == ("dose",)
    know(monkeypatch, run, fused=1.0, structure=3.0, dose=0.5)
    assert choose_teachers(run, 0).heads == ("fused",)


def test_one_teacher_alone_may_be_wanted_and_is_judged_as_others_are(run, monkeypatch):
    run.preset = read_preset("without_dose_teacher")
    know(monkeypatch, run, fused=3.0, structure=2.0, dose=0.5)
    assert choose_teachers(run, 0).heads == ("structure",)
    know(monkeypatch, run, fused=3.0, structure=0.2, dose=2.0)
    with pytest.raises(UserError, match="without_dose_teacher, fold 0: its only teacher .* is switched off"):
        choose_teachers(run, 0)
    run.preset = read_preset("without_structure_teacher")
    know(monkeypatch, run, fused=3.0, structure=2.0, dose=0.5)
    assert choose_teachers(run, 0).heads == ("dose",)
    run.plan = replace(run.plan, structure_function_teacher=False)
    assert choose_teachers(run, 0).heads == ("fused",)


def test_too_few_patients_switch_nothing_off(run, monkeypatch, caplog):
    know(monkeypatch, run, fused=0.2, structure=0.2, dose=3.0)
    few = [replace(c, patient=f"p{i % 12}") for i, c in enumerate(run.training_cases(0))]
    run.training_cases = lambda fold: few
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        assert choose_teachers(run, 0).heads == ("fused", "structure", "dose")
    assert "6 patients of the rarest class have a privileged channel, too few to judge teacher fused" in caplog.text


def test_cases_without_pet_say_nothing_of_teachers_that_see_pet(run, monkeypatch):
    know(monkeypatch, run, fused=3.0, structure=3.0, dose=0.5)
    bare = [replace(c, present=(True, False)) for c in run.training_cases(0)]
    run.training_cases = lambda fold: bare
    know(monkeypatch, run, fused=0.2, structure=0.2, dose=3.0)
    assert choose_teachers(run, 0).heads == ("fused", "structure", "dose")


def test_teachers_losses_are_compared_on_cases_that_all_of_them_can_judge(run, monkeypatch):
    know(monkeypatch, run, fused=3.0, structure=2.0, dose=0.5)
    everywhere = choose_teachers(run, 0).losses
    cases = run.training_cases(0)
    bare = [replace(c, case=f"bare {c.case}", present=(True, False)) for c in cases if c.label is not None]
    known = module.training_logits(run, 0)
    wrong = {f"bare {c.case}": [3.0 * c.label, -3.0 * c.label] for c in cases if c.label is not None}
    monkeypatch.setattr(module, "training_logits", lambda *_: {head: rows | wrong for head, rows in known.items()})
    run.training_cases = lambda fold: [*cases, *bare]
    assert choose_teachers(run, 0).losses == everywhere


def test_of_in_sample_teachers_nothing_is_known_and_the_log_says_so(run, monkeypatch, caplog):
    monkeypatch.setattr(module, "training_logits", lambda run, fold: {})
    run.preset = read_preset("mtcm")
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        choice = choose_teachers(run, 0)
    assert choice == module.Choice(("fused", "structure", "dose"), None)
    assert "none is switched off and weights follow cases that they were trained on" in caplog.text


def test_without_privileged_channels_there_is_one_teacher(run, caplog):
    run.plan = replace(run.plan, structure_function_teacher=False)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        assert choose_teachers(run, 0).heads == ("fused",)
    assert not caplog.text
