import dataclasses

from reactkd_auto.dose.parameters import preset
from reactkd_auto.fingerprint import LOW_DOSES, CaseFingerprint, DoseMeasurement, ScanInfo
from reactkd_auto.jsonio import to_plain
from reactkd_auto.planning.noise_groups import OWN_PATCHES, noise_groups
from tests.planning.cohorts import new_case


def ct(number: int, *, sharpness: float | None, patches: int = 30, cropped: bool = True, scan=None) -> CaseFingerprint:
    calibration = preset(reason="", slice_mm=3.0, ellipse_mm=(115.0, 165.0) if cropped else None)
    dose = DoseMeasurement(to_plain(calibration), (1.1,) * len(LOW_DOSES), sharpness, patches)
    return new_case(number, dose=dose, scan=scan)


def names(groups: list[list[CaseFingerprint]]) -> list[list[int]]:
    return [[int(c.case[-5:]) for c in g] for g in groups]


def test_cts_of_like_sharpness_form_a_group_and_another_kernel_forms_its_own():
    soft = [ct(i, sharpness=0.28 + 0.004 * i) for i in range(4)]
    sharp = [ct(10 + i, sharpness=0.36 + 0.002 * i) for i in range(3)]
    assert names(noise_groups([*sharp, *soft])) == [[0, 1, 2, 3], [10, 11, 12]]


def test_crops_and_whole_fields_of_view_and_other_scanners_are_kept_apart():
    one, two = ScanInfo("GE Discovery", "STANDARD", 120.0), ScanInfo("GE Discovery", "STANDARD", 100.0)
    cases = [
        ct(0, sharpness=0.3),
        ct(1, sharpness=0.3),
        ct(2, sharpness=0.3, cropped=False),
        ct(3, sharpness=0.3, cropped=False),
        ct(4, sharpness=0.3, scan=one),
        ct(5, sharpness=0.3, scan=one),
        ct(6, sharpness=0.3, scan=two),
    ]
    assert names(noise_groups(cases)) == [[0, 1], [2, 3], [4, 5]]


def test_a_ct_without_patches_joins_only_where_there_is_no_choice():
    blind = ct(9, sharpness=None, patches=0)
    one = [ct(i, sharpness=0.3) for i in range(3)]
    assert names(noise_groups([*one, blind])) == [[0, 1, 2, 9]]
    two = [*one, *(ct(5 + i, sharpness=0.4) for i in range(2))]
    assert names(noise_groups([*two, blind])) == [[0, 1, 2], [5, 6]]


def test_cts_with_many_patches_help_others_but_form_no_group_among_themselves():
    strong = [ct(i, sharpness=0.3, patches=OWN_PATCHES) for i in range(3)]
    assert noise_groups(strong) == []
    assert names(noise_groups([*strong, ct(7, sharpness=0.3, patches=5)])) == [[0, 1, 2, 7]]
    assert noise_groups([ct(0, sharpness=0.3, patches=5)]) == []


def test_cases_that_are_no_ct_belong_nowhere():
    mask = dataclasses.replace(new_case(0), dose=None)
    assert noise_groups([mask, dataclasses.replace(new_case(1), dose=None)]) == []
