"""Nothing is trained on and tested on: patients in both parts stop planning, copies of an image are left out."""

import shutil

import numpy as np
import pytest

from reactkd_auto.dataset import LabelledCase, read_labels, write_labels
from reactkd_auto.errors import UserError
from reactkd_auto.execution import Execution
from reactkd_auto.planning.leaks import find_copies
from reactkd_auto.planning.measuring import measure_cases, read_rows
from tests.planning.raw_cohort import DATASET, SPACING, WITH_CT, make_raw, write_image


@pytest.fixture
def raw(tmp_path):
    return make_raw(tmp_path, 4, dataset=WITH_CT)


def measured(raw):
    rows = read_rows(raw, WITH_CT)
    execution = Execution(workers=1, quiet=True)
    cases, failures = measure_cases(rows, WITH_CT, raw=raw, store=raw.parent / "store", execution=execution)
    failures |= find_copies(cases, raw, WITH_CT)
    return [c.case for c in cases if c.case not in failures], failures


def add_test(raw, case, source, *, part="0000"):
    (raw / "imagesTs").mkdir(exist_ok=True)
    shutil.copy(raw / "imagesTr" / source, raw / "imagesTs" / f"{case}_{part}.nii.gz")


def test_a_patient_in_both_parts_is_one_sentence(raw):
    write_labels(raw / "labelsTs.csv", [LabelledCase("t", "patient_2", 0)], WITH_CT.classes)
    with pytest.raises(UserError, match=r"labelsTs\.csv: patient 'patient_2' of labelsTr\.csv, expected"):
        read_rows(raw, WITH_CT)


def test_a_case_in_both_parts_is_one_sentence(raw):
    add_test(raw, "case_1", "case_3_0000.nii.gz")
    with pytest.raises(UserError, match="imagesTs: case 'case_1', also in imagesTr, expected"):
        read_rows(raw, WITH_CT)


def test_a_test_part_of_other_patients_is_let_through(raw):
    before = read_rows(raw, WITH_CT)
    write_labels(raw / "labelsTs.csv", [LabelledCase("t", "other", 0)], WITH_CT.classes)
    assert read_rows(raw, WITH_CT) == before == read_labels(raw / "labelsTr.csv", WITH_CT.classes)


def test_a_copy_of_an_earlier_case_is_left_out_whatever_its_file_is_like(raw):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(raw / "imagesTr" / "case_0_0000.nii.gz"))
    turned = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat32), "RAS")
    sitk.WriteImage(turned, str(raw / "imagesTr" / "case_2_0000.nii.gz"))
    cases, failures = measured(raw)
    assert cases == ["case_0", "case_1", "case_3"]
    assert list(failures) == ["case_2"]
    assert failures["case_2"].endswith("case_2_0000.nii.gz: the same voxels as imagesTr/case_0_0000.nii.gz, "
                                       "expected another image.")  # fmt: skip


def test_a_copied_pet_is_found_too(raw):
    shutil.copy(raw / "imagesTr" / "case_1_0001.nii.gz", raw / "imagesTr" / "case_3_0001.nii.gz")
    _, failures = measured(raw)
    assert "case_3_0001.nii.gz: the same voxels as imagesTr/case_1_0001.nii.gz" in failures["case_3"]


def test_a_copy_of_a_test_case_is_left_out(raw):
    add_test(raw, "t", "case_1_0000.nii.gz")
    write_image(raw / "imagesTs" / "u_0000.nii.gz", np.eye(8, dtype=np.int16)[None].repeat(5, 0), SPACING)
    (raw / "imagesTs" / "v_0000.nii.gz").write_bytes(b"damaged")
    cases, failures = measured(raw)
    assert cases == ["case_0", "case_2", "case_3"]
    assert "the same voxels as imagesTs/t_0000.nii.gz" in failures["case_1"]


def test_shapes_that_are_alike_are_no_copies(tmp_path):
    raw = make_raw(tmp_path, 4, dataset=DATASET)
    rows = read_rows(raw, DATASET)
    execution = Execution(workers=1, quiet=True)
    cases, failures = measure_cases(rows, DATASET, raw=raw, store=tmp_path / "store", execution=execution)
    assert (len(cases), failures, find_copies(cases, raw, DATASET)) == (4, {}, {})
    assert cases[0].voxel_hashes["shape"] == cases[3].voxel_hashes["shape"]
