"""The page that planning leaves: complete, self-contained, without names of patients, kept while it is true."""

import dataclasses
import html
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from reactkd_auto.dataset import Channel, LabelledCase, write_dataset, write_labels
from reactkd_auto.plan import read_plan
from reactkd_auto.planning.command import main
from reactkd_auto.planning.report.contents import decisions
from tests.planning.raw_cohort import DATASET, FOLDER, WITH_CT, make_raw, write_image

HOSTILE = "<b>low</b> & $x$"


def run(workspace, *options):
    return main([str(a) for a in ("-w", workspace, "--device", "cpu", "--workers", 1, "--quiet", *options)])


def out(workspace):
    return workspace / "preprocessed" / FOLDER


def page_of(workspace, name="plan"):
    return (out(workspace) / f"{name}.html").read_text(encoding="utf-8")


def without_pictures(page):
    """Any few letters may come up among the pictures' bytes."""
    return re.sub(r'"data:image/[^"]*"', "", page)


class _Reader(HTMLParser):
    """Words, links and tags of a page, and the rows of its tables."""

    def __init__(self, page):
        super().__init__()
        self.links, self.words, self.tags, self.rows, self.alts = [], [], set(), [], []
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = dict(attributes)
        self.links += [named[a] for a in ("src", "href", "data", "action") if a in named]
        self.alts += [named["alt"]] if "alt" in named else []
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, text):
        self.words.append(text)
        if self.in_cell:
            self.rows[-1][-1] += text


def words(page):
    return " ".join(" ".join(_Reader(page).words).split())


def cells(page):
    return [[" ".join(c.split()) for c in row] for row in _Reader(page).rows]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("report")
    raw = make_raw(workspace)
    write_dataset(raw, dataclasses.replace(DATASET, classes=(HOSTILE, "high"), description="<script>alert(1)</script>"))
    rows = [LabelledCase(f"case_{i}", f"Doe^Jane_{i}", i % 2) for i in range(6)]
    write_labels(raw / "labelsTr.csv", rows, (HOSTILE, "high"))
    assert run(workspace) == 0
    return workspace


@pytest.fixture
def workspace(template, tmp_path):
    return shutil.copytree(template, tmp_path / "workspace")


def test_the_page_needs_no_network_and_no_other_file(template):
    reader = _Reader(page_of(template))
    assert reader.links
    assert all(link.startswith(("data:image/", "#")) for link in reader.links)
    assert not {"script", "link", "iframe", "object"} & reader.tags
    assert "http" not in without_pictures(page_of(template))


def test_every_planned_value_stands_there_with_its_reason(template):
    shown, plan = words(page_of(template)), read_plan(out(template) / "plan.json")
    rows = {row[0]: row for row in cells(page_of(template)) if len(row) == 4}
    for decision in decisions(plan):
        label, value, reason, by = rows[decision.label]
        for part, text in decision.lines:
            assert f"{part} {text}".strip() in value, label
        assert reason == " ".join(decision.reason.split())
        assert by == "rule"
    assert plan.hash in shown


def test_names_are_escaped_and_patients_are_not_named(template):
    page = without_pictures(page_of(template))
    assert "<b>low" not in page
    assert "<script" not in page
    assert html.escape(HOSTILE, quote=False) in page
    assert "Doe" not in page
    assert str(template) not in page


def test_each_class_shows_crops_of_its_cases(template):
    alts = [a for a in _Reader(page_of(template)).alts if a.startswith("Preprocessed crop")]
    assert {a.split()[3] for a in alts} == {f"case_{i}" for i in range(6)}


def test_a_choice_of_the_user_is_marked_on_the_page_of_that_plan(workspace):
    before = page_of(workspace)
    assert run(workspace, "-p", "mine", "--batch_size", 2, "--spacing", 1, 1, 1, "--patch_size", 8, 8, 8) == 0
    rows = {row[0]: row for row in cells(page_of(workspace, "mine"))}
    assert [rows[label][3] for label in ("batch size", "spacing z y x, mm", "folds")] == ["user", "user", "rule"]
    assert page_of(workspace) == before


def test_cases_larger_than_the_patch_are_listed_with_their_factor(workspace):
    assert run(workspace, "-p", "small", "--spacing", 1, 1, 1, "--patch_size", 8, 8, 8) == 0
    zoomed = read_plan(out(workspace) / "small.json").zoomed_cases
    assert zoomed
    rows = cells(page_of(workspace, "small"))
    for case in zoomed:
        assert [case.case, f"{case.factor:.2f} ×"] in rows
    assert any(f"{len(zoomed)}" == row[1] and "larger than the planned patch" in row[0] for row in rows if len(row) > 2)


def test_a_page_that_is_still_true_is_kept_and_one_that_is_not_is_made_anew(workspace):
    path = out(workspace) / "plan.html"
    before, made = path.read_bytes(), path.stat().st_mtime_ns
    assert run(workspace) == 0
    assert path.stat().st_mtime_ns == made
    path.unlink()
    assert run(workspace) == 0
    assert path.read_bytes() == before
    rows = [LabelledCase(f"case_{i}", f"p{i}", None if i == 3 else i % 2) for i in range(6)]
    write_labels(workspace / "raw" / FOLDER / "labelsTr.csv", rows, (HOSTILE, "high"))
    assert run(workspace) == 0
    assert "5 graded, 1 ungraded" in words(path.read_text())
    assert "always trained on" in words(path.read_text())


def test_cases_that_could_not_be_used_are_listed_without_folders(workspace):
    image = workspace / "raw" / FOLDER / "imagesTr" / "case_1_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:100])
    assert run(workspace) == 3
    page = page_of(workspace)
    (row,) = [row for row in cells(page) if row[0] == "case_1"]
    assert "case_1_0000.nii.gz" in row[1]
    assert str(workspace) not in page
    assert "1 case could not be used" in words(page)


def test_ct_pet_and_mr_of_which_one_class_lacks_the_pet(tmp_path):
    dataset = dataclasses.replace(WITH_CT, channels=(*WITH_CT.channels, Channel("T1", "mr")))
    raw = make_raw(tmp_path, 4, dataset=dataset)
    for i in range(4):
        mr = np.random.default_rng(i).uniform(0, 900, (8, 24, 24)).astype(np.float32)
        write_image(raw / "imagesTr" / f"case_{i}_0002.nii.gz", mr, (4.0, 1.5, 1.5))
        if i % 2:
            (raw / "imagesTr" / f"case_{i}_0001.nii.gz").unlink()
    assert run(tmp_path) == 0
    page = page_of(tmp_path)
    folds = [row for row in cells(page) if len(row) == 8 and row[0].isdigit()]
    assert [sum(int(row[k]) for row in folds) for k in range(1, 7)] == [4, 4, 2, 2, 2, 4]
    shown = words(page)
    assert "Noise of the CTs" in shown
    assert "Values in the regions" in shown


def test_a_cohort_without_regions(tmp_path):
    raw = make_raw(tmp_path, 4, dataset=dataclasses.replace(DATASET, regions=()))
    shutil.rmtree(raw / "regionsTr")
    assert run(tmp_path) == 0
    shown = words(page_of(tmp_path))
    assert "No region graph is planned" in shown
    assert "0 of 4 cases have regions" in shown
    assert "lesion counts" not in " ".join(_Reader(page_of(tmp_path)).alts)
    assert "Noise of the CTs" not in shown
