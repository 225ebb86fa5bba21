"""Converters: the right labels and patients, files byte by byte, resumable, clean by the verifier."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import LabelledCase, read_dataset, read_labels
from reactkd_auto.dataset_conversion import lidc, medmnist3d, sts
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import list_cases, load_case, write_image
from tests.dataset_conversion.cohorts import as_image, ct, pet, regions


def write_sts(source: Path, patients: int = 4) -> Path:
    for i in range(patients):
        folder = source / f"STS_{i}"
        write_image(folder / "ct.nii.gz", as_image(ct(i)))
        if i:
            write_image(folder / "pet_fdg.nii.gz", as_image(pet(i), spacing=4, shift=1))
        write_image(folder / "mr_t1.nii.gz", as_image(pet(i + 50) * 100, spacing=4, shift=1))
        write_image(folder / "gtv_on_ct.nii.gz", as_image((regions() == 2).astype(np.uint8)))
    rows = [f"STS_{i},{i % 2},F" for i in range(patients)]
    (source / "labels.csv").write_text("\n".join(["patient,lung_metastasis,sex", *rows]) + "\n")
    return source


def write_lidc(source: Path, ratings: tuple[int, ...] = (1, 2, 3, 4, 5, 2)) -> Path:
    rows = []
    for i, rating in enumerate(ratings):
        name = f"P{i // 2}_R_{i}.nii.gz"
        write_image(source / "image" / name, as_image(ct(i)))
        write_image(source / "nodule_mask" / name, as_image((regions() == 2).astype(np.uint8)))
        rows.append(f"P{i // 2},{rating},{name}")
    (source / "metadata.csv").write_text("\n".join(["patient_id,Malignancy_value,file", *rows]) + "\n")
    return source


def write_npz(path: Path, *, grey: bool = False) -> Path:
    rng = np.random.default_rng(0)
    values = np.arange(256, dtype=np.uint8) if grey else np.array([0, 255], np.uint8)
    arrays: dict[str, np.ndarray] = {}
    for part, count in (("train", 6), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = rng.choice(values, (count, 8, 8, 8))
        arrays[f"{part}_labels"] = (np.arange(count) % 2)[:, None].astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_sts_keeps_files_and_labels_and_tolerates_a_missing_tracer(tmp_path: Path) -> None:
    source = write_sts(tmp_path / "source")
    folder = sts.convert_sts(source, workspace=tmp_path / "w", id=7)
    assert folder.name == "Dataset007_STS"
    dataset = read_dataset(folder)
    assert [c.role for c in dataset.channels] == ["ct", "pet_suv", "mr"]
    assert read_labels(folder / "labelsTr.csv", dataset.classes)[1] == LabelledCase("STS_1", "STS_1", 1)
    assert (folder / "imagesTr/STS_1_0001.nii.gz").read_bytes() == (source / "STS_1/pet_fdg.nii.gz").read_bytes()
    assert not (folder / "imagesTr/STS_0_0001.nii.gz").exists()
    assert verify_dataset(folder) == []


def test_a_second_call_keeps_finished_files_and_completes_the_rest(tmp_path: Path) -> None:
    source = write_sts(tmp_path / "source")
    folder = sts.convert_sts(source, workspace=tmp_path / "w")
    kept, lost = folder / "imagesTr/STS_1_0000.nii.gz", folder / "imagesTr/STS_2_0000.nii.gz"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    (folder / "dataset.json").unlink()
    assert sts.convert_sts(source, workspace=tmp_path / "w") == folder
    assert kept.stat().st_mtime_ns == before
    assert lost.exists()
    assert verify_dataset(folder) == []


def test_a_conversion_never_mixes_with_one_of_another_source(tmp_path: Path) -> None:
    sts.convert_sts(write_sts(tmp_path / "one"), workspace=tmp_path / "w")
    with pytest.raises(UserError, match="give another --id"):
        sts.convert_sts(write_sts(tmp_path / "two"), workspace=tmp_path / "w")


def test_an_interrupted_conversion_has_no_dataset_json(tmp_path: Path) -> None:
    source = write_sts(tmp_path / "source")
    (source / "STS_3" / "ct.nii.gz").unlink()
    with pytest.raises(UserError, match=r"STS_3/ct\.nii\.gz"):
        sts.convert_sts(source, workspace=tmp_path / "w")
    assert not list((tmp_path / "w").rglob("dataset.json"))


def test_sts_refuses_unknown_labels_and_unsafe_names(tmp_path: Path) -> None:
    source = write_sts(tmp_path / "source")
    table = source / "labels.csv"
    good = table.read_text()
    for wrong, words in (("STS_1,2,F", "'2'"), ("../x,1,F", "letters")):
        table.write_text(good.replace("STS_1,1,F", wrong))
        with pytest.raises(UserError, match=words):
            sts.convert_sts(source, workspace=tmp_path / "w")


def test_lidc_groups_nodules_by_patient_and_leaves_indeterminate_ones_out(tmp_path: Path) -> None:
    source = write_lidc(tmp_path / "source")
    folder = lidc.convert_lidc(source, workspace=tmp_path / "w")
    rows = read_labels(folder / "labelsTr.csv", lidc.DATASET.classes)
    assert [(r.case, r.patient, r.label) for r in rows] == [
        ("P0_R_0", "P0", 0),
        ("P0_R_1", "P0", 0),
        ("P1_R_3", "P1", 1),
        ("P2_R_4", "P2", 1),
        ("P2_R_5", "P2", 0),
    ]
    assert list_cases(folder, lidc.DATASET) == [r.case for r in rows]


def test_lidc_keeps_indeterminate_nodules_as_ungraded_on_request(tmp_path: Path) -> None:
    source = write_lidc(tmp_path / "source")
    assert lidc.main(["-i", str(source), "-w", str(tmp_path / "w"), "--keep_indeterminate", "--quiet"]) == 0
    folder = tmp_path / "w/raw/Dataset001_LIDC"
    rows = read_labels(folder / "labelsTr.csv", lidc.DATASET.classes)
    assert [r.case for r in rows if r.label is None] == ["P1_R_2"]
    assert verify_dataset(folder) == []


def test_medmnist_parts_go_to_training_and_test_with_masks_as_base_and_region(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "source" / "adrenalmnist3d_64.npz")
    folder = medmnist3d.convert_medmnist3d(source, workspace=tmp_path / "w")
    assert folder.name == "Dataset001_AdrenalMNIST3D64"
    dataset = read_dataset(folder)
    assert dataset.base.role == "binary_mask"
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert [r.case for r in rows][5:7] == ["train_0005", "val_0000"]
    assert len(read_labels(folder / "labelsTs.csv", dataset.classes)) == 4
    case = load_case(folder, dataset, "val_0001")
    assert case.regions is not None
    expected = np.load(source)["val_images"][1] > 0
    np.testing.assert_array_equal(sitk.GetArrayFromImage(case.images[0]), expected)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(case.regions), expected)
    assert case.images[0].GetSpacing() == (8.0, 8.0, 8.0)  # 64 mm box of 8 voxels
    assert verify_dataset(folder) == []


def test_medmnist_refuses_grey_values_damage_and_unknown_names(tmp_path: Path) -> None:
    grey = write_npz(tmp_path / "a" / "adrenalmnist3d.npz", grey=True)
    with pytest.raises(UserError, match="no 3D masks"):
        medmnist3d.convert_medmnist3d(grey, workspace=tmp_path / "w")
    grey.write_bytes(grey.read_bytes()[:500])
    with pytest.raises(UserError, match="not a complete"):
        medmnist3d.convert_medmnist3d(grey, workspace=tmp_path / "w")
    other = write_npz(tmp_path / "organmnist3d.npz")
    with pytest.raises(UserError, match="not a known file"):
        medmnist3d.convert_medmnist3d(other, workspace=tmp_path / "w")


@pytest.mark.parametrize("converter", [sts, lidc, medmnist3d])
def test_a_missing_source_is_one_sentence_and_exit_code_2(
    tmp_path: Path, converter: object, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "adrenalmnist3d.npz"
    assert converter.main(["-i", str(source), "-w", str(tmp_path / "w")]) == 2  # type: ignore[attr-defined]
    assert str(source) in capsys.readouterr().err


def test_real_sts_patients_convert_clean(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (real_data / "sts_petct" / "labels.csv").open() as file:
        # The T1 of STS_001 and the FDG of STS_019 lie beside their CTs, which verification says.
        rows = [r for r in csv.DictReader(file) if r["patient"] not in ("STS_001", "STS_019")]
    chosen = [r for label in "01" for r in [r for r in rows if r["lung_metastasis"] == label][:2]]
    for row in chosen:
        shutil.copytree(real_data / "sts_petct" / row["patient"], source / row["patient"])
    lines = [f"{r['patient']},{r['lung_metastasis']}" for r in chosen]
    (source / "labels.csv").write_text("\n".join(["patient,lung_metastasis", *lines]) + "\n")
    assert verify_dataset(sts.convert_sts(source, workspace=tmp_path / "w")) == []
