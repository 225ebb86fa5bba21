"""What is made again when something changes: exactly what depends on it."""

import dataclasses

import pytest

from reactkd_auto.cases import read_properties
from reactkd_auto.fingerprint import read_fingerprint
from reactkd_auto.plan import read_plan
from reactkd_auto.planning.api import plan_and_preprocess
from reactkd_auto.planning.made_of import in_words, made_of, outdated_cases
from reactkd_auto.splits import read_splits
from tests.planning.raw_cohort import DATASET, FOLDER, WITH_CT, make_raw


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A preprocessed cohort with dose noise: folder, fingerprints, plan."""
    workspace = tmp_path_factory.mktemp("made")
    make_raw(workspace, 2, dataset=WITH_CT)
    plan = plan_and_preprocess(workspace=workspace, device="cpu", workers=1, quiet=True)
    folder = workspace / "preprocessed" / FOLDER
    return folder / "cases", read_fingerprint(folder).cases, plan


def changed(made, **values):
    folder, cases, plan = made
    todo = outdated_cases(cases, dataclasses.replace(plan, **values), folder)
    return {(t.case.case, t.extent, t.why) for t in todo}


def test_nothing_is_made_again_for_what_a_case_does_not_depend_on(made):
    folder, cases, plan = made
    assert outdated_cases(cases, plan, folder) == []
    for values in (
        {"batch_size": 99},
        {"folds": 2},
        {"reasons": {}},
        {"training": dataclasses.replace(plan.training, learning_rate=1.0)},
        {"dose": dataclasses.replace(plan.dose, range=(0.2, 0.9))},
        {"localiser": dataclasses.replace(plan.localiser, patch_size=(8, 8, 8))},
        {"normalisation": {n: dataclasses.replace(r, mean=9.0, upper=99.0) for n, r in plan.normalisation.items()}},
    ):
        assert changed(made, **values) == set(), values


@pytest.mark.parametrize(
    ("part", "value", "extent"),
    [
        ("spacing_mm", (9.0, 9.0, 9.0), "all"),
        ("patch_size", (8, 8, 80), "all"),
        ("context_voxels", (7, 7, 7), "all"),
        ("seed", 5, "all"),
        ("dose", {"levels": (0.3,)}, "all"),
        ("graph", {"ring_width_mm": 6.0}, "all but noise"),
        ("normalisation", {"storage_scale": 0.5}, "all but noise"),
    ],
)
def test_a_changed_part_of_the_plan_reaches_all_that_depends_on_it_and_is_named(made, part, value, extent):
    old = getattr(made[2], part)
    if part == "normalisation":
        value = old | {"FDG": dataclasses.replace(old["FDG"], **value)}
    elif isinstance(value, dict):
        value = dataclasses.replace(old, **value)
    why = f"the plan changed: {part}"
    assert changed(made, **{part: value}) == {(f"case_{i}", extent, why) for i in range(2)}


def test_a_channel_that_a_case_lacks_does_not_touch_it(made):
    _, (first, _), plan = made
    without = dataclasses.replace(first, intensities={"CT": first.intensities["CT"]})
    rule = dataclasses.replace(plan.normalisation["FDG"], storage_scale=0.5)
    other = dataclasses.replace(plan, normalisation=plan.normalisation | {"FDG": rule})
    assert made_of(without, plan) == made_of(without, other)
    assert made_of(first, plan) != made_of(first, other)


def test_changes_of_one_case_are_told_apart_and_counted(made):
    folder, (first, second), plan = made
    new = dataclasses.replace(first, case="case_9")
    cases = [dataclasses.replace(first, label=None), dataclasses.replace(second, input_hash="x"), new]
    todo = outdated_cases(cases, plan, folder)
    assert [t.extent for t in todo] == ["properties", "all", "all"]
    words = in_words(todo, 97)
    assert "1 (its row in the label table changed; only their properties)" in words
    assert "1 (its files changed)" in words
    assert "1 (new)" in words
    assert "keeping 97" in words


def test_kept_noise_is_the_noise_that_would_be_made(tmp_path):
    make_raw(tmp_path, 2, dataset=WITH_CT)
    options = {"workspace": tmp_path, "device": "cpu", "workers": 1, "quiet": True}
    plan_and_preprocess(**options)
    folder = tmp_path / "preprocessed" / FOLDER
    cases = folder / "cases"
    before = {p.name: p.read_bytes() for p in cases.iterdir()}
    properties = read_properties(cases, "case_0")
    changed_graph = properties.made_of | {"graph": "another"}
    from reactkd_auto.jsonio import write_json

    write_json(cases / "case_0.json", dataclasses.replace(properties, made_of=changed_graph))
    (todo,) = outdated_cases(read_fingerprint(folder).cases, read_plan(folder / "plan.json"), cases)
    assert todo.extent == "all but noise"
    plan_and_preprocess(**options)
    assert {p.name: p.read_bytes() for p in cases.iterdir()} == before


@pytest.mark.slow
def test_ten_cases_more_make_ten_cases_and_keep_every_fold(tmp_path, caplog):
    make_raw(tmp_path, 100, dataset=DATASET)
    options = {"workspace": tmp_path, "device": "cpu", "workers": 1, "quiet": True}
    plan_and_preprocess(**options)
    folder = tmp_path / "preprocessed" / FOLDER
    folds = read_splits(folder).assignment
    times = {p.name: p.stat().st_mtime_ns for p in (folder / "cases").iterdir()}
    make_raw(tmp_path, 10, first=100, dataset=DATASET)
    with caplog.at_level("INFO", logger="reactkd_auto"):
        plan_and_preprocess(**options)
    assert "Preprocessing 10 cases: 10 (new), keeping 100" in caplog.text
    after = read_splits(folder).assignment
    assert {case: after[case] for case in folds} == folds
    assert len(after) == 110
    assert {name: (folder / "cases" / name).stat().st_mtime_ns for name in times} == times
