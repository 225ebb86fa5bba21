import json

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import Fingerprint, read_fingerprint, write_fingerprint
from tests.planning.cohorts import new_case

FINGERPRINT = Fingerprint("Dataset001_X", (new_case(0), new_case(1, region_extent_mm=None, lesions=(), label=None)))


def test_a_fingerprint_survives_its_file(tmp_path):
    write_fingerprint(tmp_path, FINGERPRINT)
    again = read_fingerprint(tmp_path)
    assert again == FINGERPRINT
    assert again.hash == FINGERPRINT.hash


def test_the_hash_sees_every_measurement():
    assert Fingerprint("Dataset001_X", FINGERPRINT.cases[:1]).hash != FINGERPRINT.hash


def test_a_case_without_regions_wants_its_whole_image():
    with_regions, without = FINGERPRINT.cases
    assert with_regions.wanted_extent_mm == with_regions.region_extent_mm
    assert without.wanted_extent_mm == pytest.approx((300.0, 409.6, 409.6))


@pytest.mark.parametrize("spoil", ["missing", "unknown", "schema", "twice"])
def test_a_spoilt_file_is_refused_by_name(tmp_path, spoil):
    write_fingerprint(tmp_path, FINGERPRINT)
    path = tmp_path / "fingerprint.json"
    document = json.loads(path.read_text())
    if spoil == "missing":
        del document["cases"][0]["size"]
    elif spoil == "unknown":
        document["cases"][0]["sizes"] = 1
    elif spoil == "schema":
        document["schema_version"] = 99
    else:
        document["cases"].append(document["cases"][0])
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"fingerprint\.json"):
        read_fingerprint(tmp_path)
