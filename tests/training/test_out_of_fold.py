"""Out-of-fold answers of teachers: whose they are, and that they are made once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from reactkd_auto.networks import build_teachers, save_weights
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.out_of_fold import FILE, finished_sets, held_out_logits, out_of_fold, training_logits
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.stages import begin
from reactkd_auto.training.teachers_stage import WEIGHTS, load_teachers, probabilities, teacher_logits
from reactkd_auto.workspace import open_workspace
from tests.builders import with_opinions


@pytest.fixture
def cross_fitted(make_cohort):
    """A run whose teachers {0}, {1}, {0, 1}, {0, 2}, {1, 2} are trained, {2} is not."""
    cohort = make_cohort(folds=3)
    run = open_run(
        open_workspace(cohort.workspace),
        preset=read_preset("auto"),
        teachers="cross_fitted",
        device="cpu",
        epochs=2,
        iterations=2,
        quiet=True,
    )
    for without in ((0,), (1,), (0, 1), (0, 2), (1, 2)):
        finish(run, *without)
    return run


def finish(run, *without: int) -> Path:
    """Teachers whose weights depend on what they left out."""
    folder = run.teachers_folder(*without)
    begin(folder, run.settings("teachers", len(without)))
    seed = sum(10**f for f in without)
    save_weights(folder / WEIGHTS, with_opinions(build_teachers(run.plan, run.dataset, seed=0), seed=seed))
    return folder


def direct(run, *without: int):
    cases = run.held_out_cases(*without)
    return teacher_logits(
        load_teachers(run, *without),
        cases,
        plan=run.plan,
        dataset=run.dataset,
        folder=run.case_folder,
        device=run.device,
    )


def test_every_head_answers_for_the_cases_that_were_left_out_and_no_others(cross_fitted):
    document = out_of_fold(cross_fitted, 0, 1)
    assert set(document.logits) == {"fused", "structure", "dose"}
    expected = {c.case for c in cross_fitted.held_out_cases(0, 1)}
    assert all(set(rows) == expected for rows in document.logits.values())
    assert document.logits == direct(cross_fitted, 0, 1)
    heads = [torch.tensor(list(rows.values())) for rows in document.logits.values()]
    assert not torch.equal(heads[0], heads[2])


def test_a_document_is_read_while_weights_and_cases_are_the_same_and_made_again_otherwise(cross_fitted, monkeypatch):
    first = out_of_fold(cross_fitted, 0)
    path = cross_fitted.teachers_folder(0) / FILE
    with monkeypatch.context() as patch:
        patch.setattr("reactkd_auto.training.out_of_fold.load_teachers", lambda *_: pytest.fail("made again"))
        assert out_of_fold(cross_fitted, 0) == first
    path.write_text("{}")
    assert out_of_fold(cross_fitted, 0) == first
    save_weights(path.parent / WEIGHTS, with_opinions(build_teachers(cross_fitted.plan, cross_fitted.dataset), seed=99))
    again = out_of_fold(cross_fitted, 0)
    assert again.key != first.key
    assert again.logits != first.logits


def test_pooled_answers_come_from_the_teacher_that_left_out_least(cross_fitted):
    pooled = held_out_logits(cross_fitted)["fused"]
    assert set(pooled) == {c.case for c in cross_fitted.held_out_cases(0, 1, 2)}
    for fold, without in ((0, (0,)), (1, (1,)), (2, (0, 2))):
        source = out_of_fold(cross_fitted, *without).logits["fused"]
        assert {c.case: pooled[c.case] for c in cross_fitted.held_out_cases(fold)} == {
            c.case: source[c.case] for c in cross_fitted.held_out_cases(fold)
        }


def test_what_may_decide_about_a_student_never_comes_from_its_own_fold(cross_fitted):
    rows = training_logits(cross_fitted, 0)["fused"]
    assert set(rows) == {c.case for c in cross_fitted.held_out_cases(1, 2)}
    for fold in (1, 2):
        source = out_of_fold(cross_fitted, 0, fold).logits["fused"]
        assert all(rows[c.case] == source[c.case] for c in cross_fitted.held_out_cases(fold))


def test_teachers_of_other_settings_are_not_pooled(cross_fitted):
    longer = dataclasses.replace(cross_fitted, epochs=3)
    assert finished_sets(longer) == []
    assert held_out_logits(longer) == {}


def test_probabilities_are_the_softmax_of_the_logits():
    assert probabilities({"a": [0.0, 0.0], "b": [1000.0, 0.0]}) == {"a": [0.5, 0.5], "b": [1.0, 0.0]}
