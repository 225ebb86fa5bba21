"""Loading a case brings channels of other sessions home, once, and leaves out what cannot be."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.execution import single_threaded
from reactkd_auto.registration.load import load_registered, registration_flag
from tests.registration.cohort import DATASET, HALF_MM, hot_spot, write_case, write_cohort
from tests.registration.phantoms import imaged, uptake

REGISTER = "reactkd_auto.registration.load.register"


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded():
        yield


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("workspace"), 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory, raw) -> Path:
    """With case 0 registered."""
    folder = tmp_path_factory.mktemp("store")
    with single_threaded():
        load_registered(raw, DATASET, "case_0", store=folder, key="k")
    return folder


def contents(store: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(store.iterdir())}


def test_a_channel_of_another_session_comes_home(raw, store):
    loaded, (record,) = load_registered(raw, DATASET, "case_0", store=store, key="k")
    assert sorted(loaded.images) == [0, 1, 2]
    assert np.linalg.norm(hot_spot(loaded.images[2]) - hot_spot(imaged(uptake, half_mm=HALF_MM))) < 1.5
    assert (record.session, record.channels, record.transform, record.refusal) == ("ACETATE", ("ACE",), "rigid", "")
    assert record.quality is not None
    assert record.quality.information_after > record.quality.information_before
    assert registration_flag(record) == ""


def test_what_was_registered_is_kept_while_files_and_settings_are_the_same(raw, store, monkeypatch):
    assert sorted(contents(store)) == ["case_0+ACETATE.json", "case_0+ACETATE.png", "case_0+ACETATE.tfm"]
    monkeypatch.setattr(REGISTER, lambda *_: pytest.fail("registered again"))
    load_registered(raw, DATASET, "case_0", store=store, key="k")
    bent = dataclasses.replace(DATASET.sessions[0], transform="rigid_bspline")
    for dataset, key in ((DATASET, "other files"), (dataclasses.replace(DATASET, sessions=(bent,)), "k")):
        with pytest.raises(pytest.fail.Exception, match="registered again"):
            load_registered(raw, dataset, "case_0", store=store, key=key)


def test_a_killed_registration_is_made_again_to_the_same_bytes(raw, store):
    before = contents(store)
    (store / "case_0+ACETATE.json").unlink()
    (store / "case_0+ACETATE.tfm").write_text("half of it")
    load_registered(raw, DATASET, "case_0", store=store, key="k")
    assert contents(store) == before


def test_a_missing_ct_or_another_bodys_leaves_the_channel_out_and_says_so(raw, tmp_path):
    write_case(raw, 1, stranger=True)
    loaded, (record,) = load_registered(raw, DATASET, "case_1", store=tmp_path, key="k")
    assert sorted(loaded.images) == [0, 1]
    assert registration_flag(record).startswith("ACE of session ACETATE counts as missing: the CTs do not fit")
    (raw / "sessionsTr" / "ACETATE" / "case_1_ct.nii.gz").unlink()
    loaded, (record,) = load_registered(raw, DATASET, "case_1", store=tmp_path, key="l")
    assert sorted(loaded.images) == [0, 1]
    assert "its CT case_1_ct.nii.gz is missing" in registration_flag(record)


def test_a_damaged_session_ct_is_a_users_error_that_names_it(raw, tmp_path):
    path = raw / "sessionsTr" / "ACETATE" / "case_1_ct.nii.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"case_1_ct\.nii\.gz"):
        load_registered(raw, DATASET, "case_1", store=tmp_path, key="k")


def test_a_case_without_channels_of_the_session_needs_no_ct(raw, tmp_path):
    (raw / "imagesTr" / "case_1_0002.nii.gz").unlink()
    loaded, records = load_registered(raw, DATASET, "case_1", store=tmp_path, key="k")
    assert sorted(loaded.images) == [0, 1]
    assert records == ()
