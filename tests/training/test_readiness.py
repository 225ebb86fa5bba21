"""KD-readiness says when distillation can be expected to help, when not, and when too few patients tell."""

from __future__ import annotations

import dataclasses
import logging
import math

import numpy as np
import pytest
from scipy.stats import norm

from reactkd_auto.evaluation.estimate import Estimate, undefined
from reactkd_auto.jsonio import read_document
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.training.readiness import Readiness, assess
from reactkd_auto.training.readiness_report import FILE, tell_readiness
from reactkd_auto.training.readiness_verdict import judge

CLASSES = ("low", "high")


@pytest.fixture
def cases(make_properties):
    """Graded cases with a tracer, one a patient, classes in turn."""

    def make(count: int, classes: int = 2):
        return [make_properties(f"c{i}", i % classes, present=(True, True)) for i in range(count)]

    return make


def binormal(count: int, *, teacher: float, ct: float, seed: int, shared: float = 0.5):
    """Logits of two classes whose expected AUCs are known: AUC = Φ(d / √2); ``shared`` is their correlation."""
    rng = np.random.default_rng(seed)
    label, common = np.arange(count) % 2, rng.normal(size=count)

    def rows(area: float):
        own = math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=count)
        values = math.sqrt(2) * norm.ppf(area) * label + own
        return {f"c{i}": [0.0, float(v)] for i, v in enumerate(values)}

    return {"fused": rows(teacher), "structure": rows(teacher), "dose": rows(ct)}


def verdict_on(cases, count: int, **areas) -> Readiness:
    return assess(binormal(count, seed=1, **areas), cases(count), CLASSES, seed=0, replicates=500)


def test_a_teacher_that_is_plainly_better_than_a_ct_that_shows_something_is_expected_to_help(cases):
    found = verdict_on(cases, 200, teacher=0.9, ct=0.68)
    assert found.verdict == "expected"
    assert found.fused_gain.low > 0
    assert found.stacking_gain.low > 0
    assert (found.n_cases, found.n_patients, found.class_patients) == (200, 200, (100, 100))
    assert "distillation is expected to help, from 200 held-out cases of 200 patients" in found.sentence


def test_a_teacher_that_is_the_ct_and_noise_is_not_expected_to_help(cases):
    found = verdict_on(cases, 300, teacher=0.7, ct=0.7, shared=0.8)
    assert found.verdict == "not_expected"
    assert found.fused_gain.low < 0 < found.fused_gain.high
    assert found.stacking_gain.low < 0.01
    assert "is NOT expected to help" in found.sentence
    assert "the teacher is no better than its CT-only branch" in found.sentence


def test_a_ct_that_shows_nothing_cannot_be_taught_however_good_the_teacher(cases):
    found = verdict_on(cases, 300, teacher=0.9, ct=0.5)
    assert found.fused_gain.low > 0
    assert found.verdict == "not_expected"
    assert "the CT shows nothing" in found.sentence


def test_a_fold_of_eight_cases_tells_nothing_and_says_so(cases):
    found = verdict_on(cases, 8, teacher=0.99, ct=0.6)
    assert found.verdict == "cannot_be_told"
    assert "too few patients (4, 4 of the classes, at least 10 of each are needed)" in found.sentence


def test_a_wide_interval_is_no_verdict():
    wide, ct = Estimate(0.05, -0.05, 0.15), Estimate(0.7, 0.6, 0.8)
    assert judge(wide, ct, (30, 30)).verdict == "cannot_be_told"
    assert judge(Estimate(0.01, -0.07, 0.09), ct, (30, 30)).verdict == "not_expected"
    assert (
        judge(Estimate(-0.2, -0.3, -0.1), ct, (30, 30)).reasons[0] == "the teacher is worse than its own CT-only branch"
    )
    assert judge(Estimate(0.2, 0.1, 0.3), Estimate(0.55, 0.45, 0.65), (30, 30)).verdict == "cannot_be_told"
    assert judge(Estimate(0.2, 0.1, 0.3), ct, (30, 9)).verdict == "cannot_be_told"
    assert judge(Estimate(0.2, 0.1, 0.3), ct, (30, 10)).verdict == "expected"


def test_only_graded_cases_with_a_tracer_count(cases):
    cohort = cases(60)
    cohort[0] = dataclasses.replace(cohort[0], present=(True, False))
    cohort[1] = dataclasses.replace(cohort[1], label=None)
    found = assess(binormal(60, teacher=0.9, ct=0.7, seed=0), cohort, CLASSES, seed=0, replicates=100)
    assert (found.n_cases, found.n_without_privileged) == (58, 1)


def test_without_a_privileged_channel_nothing_is_compared(cases):
    logits = {"fused": binormal(60, teacher=0.8, ct=0.8, seed=0)["fused"]}
    found = assess(logits, cases(60), CLASSES, seed=0, replicates=100)
    assert found.verdict == "cannot_be_told"
    assert found.ct_only == found.fused
    assert found.fused.value == pytest.approx(0.8, abs=0.12)
    assert "no teacher sees more than the CT" in found.sentence


def test_nothing_held_out_is_no_error(cases):
    assert assess({}, cases(4), CLASSES, seed=0).verdict == "cannot_be_told"


def test_three_classes_are_judged_one_against_the_rest(cases):
    rng, cohort = np.random.default_rng(0), cases(150, 3)
    truth = np.eye(3)[[c.label for c in cohort]]

    def rows(strength: float):
        values = strength * truth + rng.normal(size=truth.shape)
        return {c.case: row for c, row in zip(cohort, values.tolist(), strict=True)}

    logits = {"fused": rows(2.0), "structure": rows(2.0), "dose": rows(0.8)}
    found = assess(logits, cohort, ("a", "b", "c"), seed=0, replicates=200)
    assert found.verdict == "expected"
    assert found.stacking_gain.low > 0


def test_several_cases_of_a_patient_are_one_patient_and_widen_the_interval(cases):
    logits = binormal(120, teacher=0.8, ct=0.7, seed=3)
    single = cases(120)
    copies = {head: {f"{c}{x}": row for c, row in rows.items() for x in "ab"} for head, rows in logits.items()}
    twice = [dataclasses.replace(c, case=f"{c.case}{x}") for c in single for x in "ab"]
    one, two = (assess(logits, single, CLASSES, seed=0), assess(copies, twice, CLASSES, seed=0))
    assert (two.n_cases, two.n_patients) == (240, 120)
    widths = [r.fused_gain.high - r.fused_gain.low for r in (one, two)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("teacher", "ct", "wrong"), [(0.7, 0.7, "expected"), (0.85, 0.65, "not_expected")])
@pytest.mark.parametrize("count", [20, 120])
def test_intervals_cover_and_verdicts_are_rarely_wrong(cases, monkeypatch, count, teacher, ct, wrong):  # noqa: PLR0917
    monkeypatch.setattr("reactkd_auto.training.readiness.stacking_gain", lambda *_, **__: undefined("not looked at"))
    cohort, repetitions = cases(count), 200
    found = [
        assess(binormal(count, teacher=teacher, ct=ct, seed=s), cohort, CLASSES, seed=s, replicates=300)
        for s in range(repetitions)
    ]
    covered = np.mean([r.fused_gain.low <= teacher - ct <= r.fused_gain.high for r in found])
    assert covered > 0.89  # 0.95 − 3 standard errors − what 300 replicates lose
    assert np.mean([r.verdict == wrong for r in found]) < 0.06


class _Run:
    """What a report needs of a run."""

    def __init__(self, folder, cases) -> None:
        self.all_teachers, self.model = folder / "teachers", ModelFolder(folder / "model")
        self.cases = {c.case: c for c in cases}
        self.dataset = type("D", (), {"classes": CLASSES})
        self.seed = 0


@pytest.mark.parametrize(("teacher", "level"), [(0.95, logging.INFO), (0.66, logging.WARNING)])
def test_the_verdict_is_stored_twice_and_is_a_warning_where_help_is_not_expected(  # noqa: PLR0917
    cases, tmp_path, monkeypatch, caplog, teacher, level
):
    logits = binormal(200, teacher=teacher, ct=0.7, seed=2)
    monkeypatch.setattr("reactkd_auto.training.readiness_report.held_out_logits", lambda _: logits)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        told = tell_readiness(_Run(tmp_path, cases(200)))
    assert [(r.levelno, r.message) for r in caplog.records] == [(level, told.sentence)]
    for folder in ("teachers", "model"):
        assert read_document(Readiness, tmp_path / folder / FILE) == told
