"""From two sessions to preprocessed cases: registered, kept, refused and shown."""

from pathlib import Path

import numpy as np
import pytest

from reactkd_auto.cases import read_case, read_properties
from reactkd_auto.fingerprint import read_fingerprint
from reactkd_auto.planning import plan_and_preprocess
from reactkd_auto.planning.report.registrations import registrations
from tests.registration.cohort import FOLDER, write_case, write_cohort

STRANGER = "case_3"


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> tuple[Path, Path]:
    """Raw and preprocessed folder of four cases, one of them with a stranger's CT for its session."""
    workspace = tmp_path_factory.mktemp("workspace")
    raw = write_cohort(workspace, 4)
    write_case(raw, int(STRANGER[-1]), stranger=True)
    plan(workspace)
    return raw, workspace / "preprocessed" / FOLDER


def plan(workspace: Path) -> None:
    plan_and_preprocess(workspace=workspace, device="cpu", workers=1, quiet=True)


def test_tracers_of_both_sessions_meet_in_the_preprocessed_case(planned):
    _, out = planned
    case = read_case(out / "cases", read_properties(out / "cases", "case_0"))
    fdg, ace = (np.array(np.nonzero(case.image[i] > 0.5 * case.image[i].max())).mean(axis=1) for i in (1, 2))
    assert case.properties.present == (True, True, True)
    assert np.linalg.norm((fdg - ace) * case.properties.spacing_mm) < 2
    assert not any("session" in flag or "does not lie" in flag for flag in case.properties.flags)


def test_a_refused_session_counts_as_missing_and_stands_in_flags_and_fingerprint(planned):
    _, out = planned
    properties = read_properties(out / "cases", STRANGER)
    assert properties.present == (True, True, False)
    assert any(f.startswith("ACE of session ACETATE counts as missing") for f in properties.flags)
    cases = {c.case: c for c in read_fingerprint(out).cases}
    assert cases[STRANGER].registrations[0].refusal
    assert set(cases[STRANGER].intensities) == {"CT", "FDG"}
    quality = cases["case_0"].registrations[0].quality
    assert quality.information_after > quality.information_before


def test_the_page_shows_the_worst_first_with_checkerboards(planned):
    _, out = planned
    shown = registrations(read_fingerprint(out).cases, out / "fingerprints")
    assert shown is not None
    assert (shown.rows[0].case, len(shown.rows)) == (STRANGER, 4)
    assert shown.summary.startswith("4 sessions: 3 registered, 1 refused.")
    page = (out / "plan.html").read_text()
    assert 'id="sessions"' in page
    assert page.count("Checkerboards of case_") == 4
    assert registrations([], out / "fingerprints") is None


def test_a_second_run_registers_nothing_and_changes_no_byte(planned, monkeypatch):
    raw, out = planned
    before = {p: p.read_bytes() for p in [*(out / "cases").iterdir(), *(out / "fingerprints").iterdir()]}
    monkeypatch.setattr("reactkd_auto.registration.load.register", lambda *_: pytest.fail("registered again"))
    plan(raw.parent.parent)
    assert {p: p.read_bytes() for p in before} == before
