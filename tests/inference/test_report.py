import csv
import hashlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reactkd_auto.dataset import Region
from reactkd_auto.inference import report
from reactkd_auto.inference.report import ModelFacts, describe_model, region_colours, write_report
from reactkd_auto.inference.report_contents import NIIVUE
from reactkd_auto.inference.results import CaseResult, RegionRow, normalised_entropy
from reactkd_auto.inference.tables import prediction_columns, write_tables
from reactkd_auto.jsonio import read_json
from reactkd_auto.model_folder import ModelConfig
from tests.builders import small_dataset, small_plan
from tests.inference.conftest import calibration_of
from tests.inference.test_viewer import write_small_viewer

CLASSES = ("low", "high")
DATASET = small_dataset()
FACTS = ModelFacts("Small", (("trained on", "<b>Small</b>"),), ("Trained on 3 cases only.",))
LESION = RegionRow("lesion 1", "lesion", 1500.0, 1.0, 0.75, 0.1, "high", (0.2, 0.8))
RESULTS = (
    CaseResult(
        key="k",
        case="a",
        status="classified",
        predicted_class="high",
        probabilities=(0.25, 0.75),
        uncertainty_std=0.05,
        entropy=0.8,
        members=4,
        regions_from="localiser",
        regions=(LESION,),
        warnings=("Zoomed.",),
        explained=True,
        picture=True,
    ),
    CaseResult("k", "b", "not classified", "The model's localiser found no lesion in this image."),
    CaseResult("k", "c", "failed", "c.nii.gz: found <nothing>, expected an image."),
)
VOID = {"meta", "img", "br", "hr", "link", "input"}


class _Page(HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [v for k, v in values.items() if k == "id" and v]
        self.links += [v for k, v in values.items() if k in ("src", "href") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _folder(output: Path) -> Path:
    (output / "pictures").mkdir()
    (output / "pictures" / "a.png").write_bytes(b"\x89PNG")
    (output / "pictures" / "a_graph.svg").write_text("<svg/>")
    write_small_viewer(output, "a")
    return output


def _parsed(path: Path) -> tuple[_Page, str]:
    text, parsed = path.read_text(encoding="utf-8"), _Page()
    parsed.feed(text)
    return parsed, text


@pytest.fixture
def page(tmp_path: Path) -> tuple[_Page, str]:
    return _parsed(write_report(_folder(tmp_path), RESULTS, DATASET, FACTS, explained=True))


def test_the_page_is_well_formed_and_its_ids_are_unique(page: tuple[_Page, str]) -> None:
    assert page[0].open == []
    assert len(set(page[0].ids)) == len(page[0].ids)


def test_the_page_fetches_nothing(page: tuple[_Page, str]) -> None:
    assert all(link.startswith(("#", "data:image/")) for link in page[0].links)
    assert "://" not in page[1]
    assert "url(" not in page[1]


def test_more_than_one_page_can_hold_is_a_page_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ONE_FILE_BYTES", 100)
    table, text = _parsed(write_report(_folder(tmp_path), RESULTS, DATASET, FACTS, explained=True))
    assert table.links == ["case_pages/a.html", "case_pages/b.html", "case_pages/c.html"]
    assert "data:image" not in text
    for case in ("a", "b", "c"):
        page, text = _parsed(tmp_path / "case_pages" / f"{case}.html")
        assert page.open == []
        assert all(link == "../report.html" or link.startswith("data:image/") for link in page.links)
        assert f"case-{case}" in page.ids
        assert ("niivue" in page.ids) == (case == "a")
        assert "trained on" in text


def test_regions_of_one_role_have_different_colours() -> None:
    regions = (Region("liver", 1, "organ"), Region("spleen", 2, "organ"), Region("lesion", 3, "lesion"))
    colours = [colour for _, _, colour in region_colours(small_dataset(regions=regions))]
    assert len(set(colours)) == 3


def test_the_page_says_what_it_must(page: tuple[_Page, str]) -> None:
    for text in ("Research use only", "1 classified, 1 not classified, 1 failed", "found no lesion", "Zoomed.", "0.75"):
        assert text in page[1]


def test_text_from_files_is_escaped(page: tuple[_Page, str]) -> None:
    assert "&lt;nothing&gt;" in page[1]
    assert "<b>Small" not in page[1]


def test_tables_have_one_row_a_case_and_one_a_region(tmp_path: Path) -> None:
    write_tables(tmp_path, RESULTS, CLASSES)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "regions.csv").open(newline="") as file:
        regions = list(csv.DictReader(file))
    assert list(rows[0]) == prediction_columns(CLASSES)
    assert [r["status"] for r in rows] == ["classified", "not classified", "failed"]
    assert (rows[0]["p_high"], rows[1]["p_high"], rows[2]["reason"]) == ("0.750000", "", RESULTS[2].reason)
    assert [(r["case"], r["node"], r["grade"], r["p_high"]) for r in regions] == [("a", "lesion 1", "high", "0.800000")]
    assert [c["case"] for c in read_json(tmp_path / "predictions.json")["cases"]] == ["a", "b", "c"]


def test_entropy_is_zero_when_sure_and_one_when_even() -> None:
    assert normalised_entropy([1.0, 0.0, 0.0]) == 0.0
    assert normalised_entropy([1 / 3] * 3) == pytest.approx(1.0)


def describe(*channels: str) -> ModelFacts:
    dataset = small_dataset()
    return describe_model(
        plan=small_plan(),
        dataset=dataset,
        config=ModelConfig("auto", channels, 3),
        folds=[0],
        fingerprint=None,
        calibration=calibration_of(dataset.classes, cases=15),
    )


def test_the_model_is_described_with_what_only_its_teachers_saw() -> None:
    facts = describe("CT")
    rows = dict(facts.rows)
    assert facts.title == "CT-only prediction: Small"
    assert describe("CT", "FDG").title == "Prediction from CT and, where there, FDG: Small"
    assert (rows["looks at"], rows["channels only its teachers saw"]) == ("CT", "FDG, ACE")
    assert small_plan().hash in rows["plan"]
    assert "from 15 out-of-fold answers; sets promise 90% over all cases" in rows["calibration"]
    assert any("1 of 3 folds" in w for w in facts.warnings)
    assert any("not for each class" in w for w in facts.warnings)


def test_what_the_student_sees_too_is_not_called_its_teachers_alone() -> None:
    rows = dict(describe("CT", "FDG").rows)
    assert (rows["looks at"], rows["channels only its teachers saw"]) == ("CT, FDG", "ACE")


def test_the_vendored_viewer_is_the_one_whose_hash_is_written_beside_it() -> None:
    digest = hashlib.sha256(NIIVUE.read_bytes()).hexdigest()
    assert digest in (NIIVUE.parent / "LICENSE.txt").read_text(encoding="utf-8")
