"""`--check_explanations`: written, shown, and summarised over cases."""

import numpy as np
import pytest
from markupsafe import escape

from reactkd_auto.evaluation.explanations import MEANINGS
from reactkd_auto.inference.command import main
from reactkd_auto.inference.evaluate_command import main as evaluate
from reactkd_auto.inference.explanation_checks import CaseChecks, ExplanationChecks, summarise
from reactkd_auto.jsonio import read_document
from tests.inference.conftest import write_cohort


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    images, regions = write_cohort(folder)
    (images / "damaged.nii.gz").write_bytes(b"no image")
    arguments = ["-i", images, "-o", folder / "out", "-m", model.path, "-r", regions, "--device", "cpu", "--quiet"]
    assert main([str(a) for a in [*arguments, "--check_explanations"]]) == 3
    return folder / "out"


@pytest.fixture(scope="module")
def checks(finished) -> ExplanationChecks:
    return read_document(ExplanationChecks, finished / "explanation_checks.json")


def test_every_readable_case_is_checked(checks):
    assert [c.case for c in checks.cases] == ["a", "b"]
    for case in checks.cases:
        assert case.energy_in_lesions is not None
        assert 0 <= case.energy_in_lesions <= 1
        assert case.randomised_correlation is not None
        assert -1 <= case.randomised_correlation <= 1


def test_a_flat_map_has_the_lesions_share_of_the_regions(finished, checks):
    """Lesions of radius 5 and 4 mm in an organ of radius 15 mm; nodes lie on coarser voxels."""
    ideal = (5**3 + 4**3) / 15**3
    for case in checks.cases:
        assert case.energy_of_a_flat_map == pytest.approx(ideal, rel=0.5)


def test_curves_begin_at_the_answer_and_end_without_a_node(checks):
    for case in checks.cases:
        assert case.ordered[0] == pytest.approx(case.by_chance[0])
        assert case.ordered[-1] == pytest.approx(case.by_chance[-1])
        assert case.deletion_area == pytest.approx(np.mean(np.subtract(case.by_chance, case.ordered)))


def test_nodes_are_taken_out_most_important_first(checks):
    """Importance is integrated along the readout's own gradient: its order lowers the answer sooner than chance."""
    assert all(c.deletion_area > 0 for c in checks.cases)


def test_the_report_shows_them(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Can the explanations be trusted?" in page
    assert page.count("<polyline") == 2


def test_means_and_intervals_are_over_the_cases_that_have_the_measure():
    cases = [CaseChecks(str(i), energy_in_lesions=v) for i, v in enumerate((0.2, 0.4, 0.6, None))]
    summary = summarise(cases)
    first, *rest = summary.measures
    assert [m.name for m in summary.measures] == list(MEANINGS)
    assert (first.n_cases, first.mean.value) == (3, pytest.approx(0.4))
    assert first.mean.low is not None
    assert first.mean.high is not None
    assert 0.2 <= first.mean.low < 0.4 < first.mean.high <= 0.6
    assert all((m.n_cases, m.mean.value, m.mean.low) == (0, None, None) for m in rest)
    assert summary.ordered == ()


def test_one_case_has_a_mean_and_no_interval():
    measure = {m.name: m for m in summarise([CaseChecks("a", deletion_area=0.1)]).measures}["deletion_area"]
    assert (measure.n_cases, measure.mean.value, measure.mean.low, measure.mean.high) == (1, 0.1, None, None)


def test_curves_of_different_lengths_are_averaged_at_equal_shares_of_their_nodes():
    cases = [
        CaseChecks("a", ordered=(1.0, 0.0), by_chance=(1.0, 1.0)),
        CaseChecks("b", ordered=(1.0, 0.5, 0.0), by_chance=(0.0, 0.0, 0.0)),
    ]
    summary = summarise(cases)
    np.testing.assert_allclose(summary.ordered, np.linspace(1, 0, 11))
    np.testing.assert_allclose(summary.by_chance, np.full(11, 0.5))


def test_the_evaluation_of_the_predictions_says_them(finished, tmp_path):
    (tmp_path / "labels.csv").write_text("case,label\na,low\nb,high\n", encoding="utf-8")
    arguments = ["-p", finished / "predictions.csv", "-l", tmp_path / "labels.csv", "-o", tmp_path / "out", "--quiet"]
    assert evaluate([str(a) for a in arguments]) == 0
    page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert "Can the explanations be trusted?" in page
    for _, meaning in MEANINGS.values():
        assert str(escape(meaning)) in page
