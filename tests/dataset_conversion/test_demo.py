"""The synthetic cohort: reproducible, as described, and honest as a negative control."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.stats import rankdata

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion import demo, demo_rendering
from reactkd_auto.dataset_conversion.demo_command import main, make_demo_dataset
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError


def auc(scores: list[float], positive: list[bool]) -> float:
    """Mann-Whitney."""
    p = np.array(positive)
    ranks = rankdata(scores)
    return float((ranks[p].sum() - p.sum() * (p.sum() + 1) / 2) / (p.sum() * (~p).sum()))


def texture(case: demo_rendering.RenderedCase) -> float:
    """Largest SD of fine detail among lesions: what a CT reader could go by."""
    components, count = label(case.regions == demo_rendering.LESION, structure=np.ones((3, 3, 3)))
    detail = case.ct - gaussian_filter(case.ct.astype(float), (1, 2, 2))
    return max(float(detail[components == k].std()) for k in range(1, count + 1))


def test_rendering_is_pure_and_parameters_follow_the_seed() -> None:
    a, b = (demo.make_params(3, seed=5, prefix="demo") for _ in range(2))
    assert a == b
    assert a != demo.make_params(3, seed=6, prefix="demo")
    first, second = demo_rendering.render(a[0]), demo_rendering.render(a[0])
    np.testing.assert_array_equal(first.ct, second.ct)
    np.testing.assert_array_equal(first.regions, second.regions)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_worst_tumour_decides_the_true_class_and_a_tenth_of_labels_is_wrong(classes: int) -> None:
    cases = demo.make_params(60, seed=0, prefix="demo", classes=classes)
    for case in cases:
        worst = max(lesion.severity for lesion in case.lesions if not lesion.distractor)
        assert int(worst * classes) == case.true_class
    assert sum(c.label != c.true_class for c in cases) == 6
    assert all(abs(c.label - c.true_class) <= 1 for c in cases if c.label is not None)
    assert max(np.bincount([c.true_class for c in cases])) == 60 // classes


def test_size_number_and_mean_hu_of_tumours_say_nothing_about_the_class() -> None:
    cases = demo.make_params(600, seed=0, prefix="demo")
    positive = [c.true_class == 1 for c in cases]
    for measure in (
        lambda c: len(c.lesions),
        lambda c: max(np.prod(lesion.radii_mm) for lesion in c.lesions),
        lambda c: np.mean([lesion.mean_hu - c.organ_hu for lesion in c.lesions]),
        lambda c: sum(lesion.distractor for lesion in c.lesions),
    ):
        assert abs(auc([measure(c) for c in cases], positive) - 0.5) < 0.07  # 3 SD of an AUC by chance


def test_distractors_are_cold_and_tumour_uptake_rises_with_severity() -> None:
    lesions = [x for c in demo.make_params(100, seed=0, prefix="demo") for x in c.lesions]
    severity = [x.severity for x in lesions if not x.distractor]
    for tracer in range(2):
        uptake = [x.uptake[tracer] for x in lesions if not x.distractor]
        assert np.corrcoef(severity, uptake)[0, 1] > 0.85
        assert max(x.uptake[tracer] for x in lesions if x.distractor) < min(uptake)


def test_ct_texture_tells_the_class_and_tells_nothing_in_the_negative_control() -> None:
    for control, low, high in ((False, 0.8, 1.0), (True, 0.2, 0.75)):
        cases = demo.make_params(30, seed=0, prefix="demo", negative_control=control)
        cases = [dataclasses.replace(c, tracers=(False, False)) for c in cases]
        scores = [texture(demo_rendering.render(c)) for c in cases]
        assert low <= auc(scores, [c.true_class == 1 for c in cases]) <= high


def test_units_are_hu_and_suv_and_every_lesion_lies_in_the_organ() -> None:
    params = demo.make_params(1, seed=3, prefix="demo")[0]
    case = demo_rendering.render(dataclasses.replace(params, tracers=(True, True)))
    assert case.ct.shape == demo_rendering.CT_SHAPE
    organ = case.ct[case.regions == demo_rendering.ORGAN]
    assert abs(organ.mean() - params.organ_hu) < 3
    assert case.ct.min() < -900
    fdg = case.tracers[0]
    assert fdg is not None
    assert fdg.shape == (40, 32, 32)
    hottest = max(lesion.uptake[0] for lesion in params.lesions)
    assert 0.5 * hottest < fdg.max() < 1.3 * hottest
    _, count = label(case.regions == demo_rendering.LESION, structure=np.ones((3, 3, 3)))
    assert 1 <= count <= len(params.lesions)


def test_the_dataset_is_clean_resumable_and_has_what_a_cohort_lacks(tmp_path: Path) -> None:
    options = ["-w", str(tmp_path), "--cases", "10", "--ungraded", "6", "--tests", "2", "--classes", "3", "--quiet"]
    assert main(options) == 0
    folder = tmp_path / "raw" / "Dataset001_Demo"
    dataset = read_dataset(folder)
    assert dataset.classes_ordered
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert sum(r.label is None for r in rows) == 6
    assert 16 < len(list((folder / "imagesTr").iterdir())) < 16 * 3
    assert len(list((folder / "imagesTs").iterdir())) == 2
    assert verify_dataset(folder) == []
    lost = folder / "imagesTr" / "demo_003_0000.nii.gz"
    before = lost.read_bytes()
    lost.unlink()
    assert main(options) == 0
    assert lost.read_bytes() == before


def test_other_settings_never_mix_with_files_that_are_there(tmp_path: Path) -> None:
    make_demo_dataset(workspace=tmp_path, cases=10, ungraded=0, tests=0)
    with pytest.raises(UserError, match="asked for seed 1, expected seed 0, with which its cases were made"):
        make_demo_dataset(workspace=tmp_path, cases=10, ungraded=0, tests=0, seed=1)


@pytest.mark.parametrize("wrong", [{"cases": 3}, {"ungraded": -1}, {"classes": 5}])
def test_impossible_cohorts_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="expected"):
        make_demo_dataset(workspace=tmp_path, **wrong)  # type: ignore[arg-type]
