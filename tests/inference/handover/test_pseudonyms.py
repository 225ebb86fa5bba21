"""What of a fingerprint is handed on."""

import json

from reactkd_auto.fingerprint import Fingerprint, ScanInfo
from reactkd_auto.inference.handover.pseudonyms import pseudonymous
from reactkd_auto.jsonio import to_plain
from tests.planning.cohorts import new_case


def test_institutions_are_not_named_and_scanners_are():
    scan = ScanInfo("Acme One", "B30f", site="South clinic")
    cases = (new_case(0, scan=scan, site="South clinic"), new_case(1, site="North clinic"))
    text = json.dumps(to_plain(pseudonymous(Fingerprint("Dataset001_X", cases))))
    assert "clinic" not in text
    assert "Acme One" in text
