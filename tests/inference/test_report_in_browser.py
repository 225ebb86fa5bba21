"""The report in a real headless Chromium: opened from disk, sorted, layers switched, and asked for nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reactkd_auto.inference.api import predict
from tests.browser import CHROMIUM, browser
from tests.inference.conftest import write_cohort

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian package chromium)")
LOADED = "document.querySelector('#screen').dataset.volumes > 0"


@pytest.fixture(scope="module")
def output(model, tmp_path_factory) -> Path:
    """Two readable CTs, one that is damaged."""
    folder = tmp_path_factory.mktemp("report")
    images, regions = write_cohort(folder)
    (images / "damaged.nii.gz").write_bytes(b"no image")
    return predict(images, folder / "out", model=model.path, regions=regions, device="cpu", quiet=True).output


@pytest.fixture(scope="module")
def page(output, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.open((output / "report.html").as_uri())
        yield opened


def _column(page, number: int) -> list[str]:
    return page.run(f"[...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[{number}].dataset.value)")


def _sort(page, number: int) -> None:
    page.run(f"document.querySelectorAll('.sortable th button')[{number}].click()")


def test_a_click_sorts_by_class_certainty_and_warnings_and_a_second_turns_it_round(page):
    assert _column(page, 0) == ["a", "b", "damaged"]
    _sort(page, 0)
    _sort(page, 0)
    assert _column(page, 0) == ["damaged", "b", "a"]
    _sort(page, 2)
    certainty = _column(page, 2)
    assert certainty[-1] == ""  # no answer comes last
    assert [float(c) for c in certainty[:2]] == sorted(float(c) for c in certainty[:2])
    _sort(page, 6)
    _sort(page, 6)
    assert _column(page, 0)[0] == "damaged"


def test_a_case_page_shows_its_volumes_and_layers_can_be_switched(page, tmp_path):
    page.run("location.hash = '#case-a'")
    page.wait(LOADED)
    assert page.run("document.querySelector('#state').textContent").startswith("5 volumes of a")
    assert not page.run("document.querySelector('#cases').checkVisibility()")
    both = _shot(page, tmp_path / "both.png")
    page.run("document.querySelector('input[data-layer=regions]').click()")
    one = _shot(page, tmp_path / "one.png")
    page.run("document.querySelector('input[data-layer=explanation]').click()")
    none = _shot(page, tmp_path / "none.png")
    assert _changed(both, one) > 1000
    assert _changed(one, none) > 1000
    assert _colour(both) > _colour(none)
    assert _colour(one) > _colour(none)
    assert none.std() > 10  # the CT is still there


def test_a_window_changes_the_grey_values(page, tmp_path):
    page.run("location.hash = '#case-a'")
    page.wait(LOADED)
    soft = _shot(page, tmp_path / "soft.png")
    page.run("const w = document.querySelector('#window'); w.value = 'lung'; w.dispatchEvent(new Event('change'))")
    assert _shot(page, tmp_path / "lung.png").mean() > soft.mean() + 10


def test_another_case_replaces_the_first(page):
    page.run("location.hash = '#case-b'")
    page.wait("document.querySelector('#state').textContent.includes('of b')")
    page.run("location.hash = '#case-damaged'")
    page.wait("!document.querySelector('#viewer').checkVisibility()")
    page.run("location.hash = '#top'")
    page.wait("document.querySelector('#cases').checkVisibility()")


def test_nothing_was_asked_of_a_network_and_no_script_failed(page, output):
    inside = ("data:", "blob:", (output / "report.html").as_uri())
    assert [r for r in page.requests if not r.startswith(inside)] == []
    assert page.faults == []


def _shot(page, path: Path) -> np.ndarray:
    """The viewer's canvas as it is shown, (rows, columns, 3)."""
    page.run("document.querySelector('.screen').scrollIntoView()")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path)
    x, y, w, h = page.run(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('#screen').getBoundingClientRect())"
    )
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    return np.asarray(image.crop((int(x), int(y), int(x + w), int(min(y + h, image.height)))), dtype=float)


def _changed(first: np.ndarray, second: np.ndarray) -> int:
    """Pixels that differ clearly."""
    return int((np.abs(first - second).max(axis=2) > 10).sum())


def _colour(image: np.ndarray) -> float:
    """How far from grey its pixels are, on average."""
    return float(np.ptp(image, axis=2).mean())
