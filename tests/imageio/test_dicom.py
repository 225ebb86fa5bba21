"""DICOM series: the right voxels in the right place and unit, or one sentence that names what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)
from scipy.spatial.transform import Rotation

from reactkd_auto.imageio import ImageFault, read_image
from tests.dicom_writing import NAME, activity, hounsfield, make_series, uid, write_series


def refused(folder: Path, *words: str) -> str:
    with pytest.raises(ImageFault) as caught:
        read_image(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "expected" in sentence
    assert "SECRET" not in sentence
    for word in words:
        assert word in sentence
    return sentence


def sentence_about(folder: Path) -> str:
    try:
        read_image(folder)
    except ImageFault as fault:
        return str(fault)
    return ""


def by_itk(folder: Path) -> sitk.Image:
    """ITK's own series reader, as an independent reference."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reader.MetaDataDictionaryArrayUpdateOn()
    return reader.Execute()


def test_ct_is_in_hounsfield_units_whatever_the_order_of_its_files(tmp_path: Path) -> None:
    values = hounsfield()
    folder = write_series(tmp_path / "ct", make_series(values), order=[3, 0, 5, 1, 4, 2])
    image = read_image(folder)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values)
    assert image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_allclose(image.GetSpacing(), (1.5, 2.0, 3.0))
    np.testing.assert_allclose(image.GetOrigin(), (-10.0, -20.0, 30.0))


@settings(max_examples=15, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-170, 170)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 5.0)] * 3),
    count=st.integers(2, 5),
)
def test_any_orientation_has_the_geometry_that_itk_finds(
    angles: tuple[float, ...], spacing: tuple[float, float, float], count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    folder = tmp_path_factory.mktemp("oblique")
    spacing = tuple(round(s, 6) for s in spacing)
    write_series(folder, make_series(hounsfield(count), spacing=spacing, orientation=(*axes[0], *axes[1])))
    ours, reference = read_image(folder), by_itk(folder)
    corners = [(0, 0, 0), (9, 0, 0), (0, 7, 0), (0, 0, count - 1)]
    for corner in corners:
        np.testing.assert_allclose(
            ours.TransformIndexToPhysicalPoint(corner), reference.TransformIndexToPhysicalPoint(corner), atol=1e-4
        )
    np.testing.assert_allclose(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(reference), atol=1e-4)


def test_every_slice_has_its_own_slope_even_after_an_integer_one(tmp_path: Path) -> None:
    slices = make_series(hounsfield(3))
    slices[1].RescaleSlope, slices[2].RescaleSlope = 0.5, 0.25
    expected = np.stack([(hounsfield(3)[i] + 1024) * s - 1024 for i, s in enumerate((1, 0.5, 0.25))])
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_image(write_series(tmp_path, slices))), expected)


def test_mr_keeps_the_scanner_s_units(tmp_path: Path) -> None:
    values = np.arange(240.0).reshape(3, 8, 10)
    folder = write_series(tmp_path, make_series(values, "MR"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(folder)), values)


def test_padding_below_any_hounsfield_unit_becomes_air_and_other_padding_stays(tmp_path: Path) -> None:
    values = hounsfield(2)
    values[:, 7] = -3024
    folder = write_series(tmp_path / "low", make_series(values, PixelPaddingValue=-2000))
    assert sitk.GetArrayFromImage(read_image(folder))[:, 7].max() == -1000
    folder = write_series(tmp_path / "water", make_series(hounsfield(2), PixelPaddingValue=1064))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(folder)), hounsfield(2))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_slices_of_any_encoding_are_read(tmp_path: Path, syntax: str) -> None:
    values = hounsfield(2)
    values[:, 7] = -3024
    slices = make_series(values, PixelPaddingValue=-2000)
    for made in slices:
        made.file_meta.TransferSyntaxUID = syntax
    expected = np.where(values == -3024, -1000, values)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(write_series(tmp_path, slices))), expected)


def compress(slices: list[FileDataset], how: str, folder: Path) -> list[FileDataset]:
    """Run-length by pydicom; JPEG by ITK, whose compressed pixels are taken over."""
    folder.mkdir()
    for made in slices:
        if how == "RLE":
            made.compress(RLELossless, generate_instance_uid=False)
            continue
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(how)
        writer.SetFileName(str(folder / "slice.dcm"))
        writer.Execute(sitk.GetImageFromArray(made.pixel_array[None]))
        written = dcmread(folder / "slice.dcm")
        made.PixelData, made.file_meta.TransferSyntaxUID = written.PixelData, written.file_meta.TransferSyntaxUID
        made["PixelData"].is_undefined_length = True
    return slices


@pytest.mark.parametrize("how", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_slices_are_read(tmp_path: Path, how: str) -> None:
    slices = compress(make_series(hounsfield()), how, tmp_path / "scratch")
    assert all(s.file_meta.TransferSyntaxUID.is_compressed for s in slices)
    folder = write_series(tmp_path / "ct", slices)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(folder)), hounsfield())


def test_what_is_no_dicom_is_passed_over(tmp_path: Path) -> None:
    folder = write_series(tmp_path, make_series(hounsfield()))
    for name in ("readme.txt", ".DS_Store", "DICOMDIR", "LICENSE"):
        (folder / name).write_text("not an image")
    assert read_image(folder).GetSize() == (10, 8, 6)


@pytest.mark.parametrize("name", ["IM0007", "IM0007.dcm"])
@pytest.mark.parametrize("content", [b"", bytes(100)])
def test_a_slice_that_lost_its_first_bytes_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_series(tmp_path, make_series(hounsfield()))
    (folder / name).write_bytes(content)
    refused(folder, name, "not DICOM")


@pytest.mark.parametrize(("missing", "number"), [((2,), "about 1"), ((2, 3), "about 2"), ((1, 4), "about 2")])
def test_missing_slices_are_refused_and_counted(tmp_path: Path, missing: tuple[int, ...], number: str) -> None:
    slices = [s for i, s in enumerate(make_series(hounsfield(8))) if i not in missing]
    folder = write_series(tmp_path, slices)
    refused(folder, "missing slices", number, "3 mm")
    assert "ITK_non_uniform_sampling_deviation" in by_itk(folder).GetMetaDataKeys()


def test_duplicated_slices_are_refused(tmp_path: Path) -> None:
    slices = make_series(hounsfield())
    folder = write_series(tmp_path / "copy", slices)
    slices[2].save_as(folder / "copy_of_002.dcm")
    refused(folder, "duplicated slices", "002.dcm", "copy_of_002.dcm")
    slices[2].SOPInstanceUID = uid("another phase")
    slices[2].save_as(folder / "copy_of_002.dcm")
    refused(folder, "duplicated slices", "1 positions", "one phase")


def test_gantry_tilt_and_slices_displaced_sideways_are_refused(tmp_path: Path) -> None:
    slices = make_series(hounsfield())
    for i, made in enumerate(slices):
        made.ImagePositionPatient[1] += i * 3.0 * np.tan(np.radians(15))
    refused(write_series(tmp_path / "tilt", slices), "gantry tilt", "15.0°")
    slices = make_series(hounsfield())
    slices[3].ImagePositionPatient[0] += 5.0
    refused(write_series(tmp_path / "sideways", slices), "sideways", "5.0 mm")


def test_irregular_spacing_is_refused_and_rounding_is_not(tmp_path: Path) -> None:
    slices = make_series(hounsfield())
    slices[3].ImagePositionPatient[2] += 1.0
    refused(write_series(tmp_path / "irregular", slices), "irregular slice spacing", "2…4 mm")
    slices = make_series(hounsfield())
    slices[3].ImagePositionPatient[2] += 0.01
    assert read_image(write_series(tmp_path / "rounded", slices)).GetSpacing()[2] == pytest.approx(3.0)


def _localiser(made: FileDataset) -> None:
    made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def _secondary(made: FileDataset) -> None:
    made.SOPClassUID = SecondaryCaptureImageStorage


def _structures(made: FileDataset) -> None:
    made.SOPClassUID = RTStructureSetStorage


def _several_frames(made: FileDataset) -> None:
    made.NumberOfFrames, made.PixelData = 2, made.PixelData * 2


def _enhanced(made: FileDataset) -> None:
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"


def _pixel_type(made: FileDataset) -> None:
    made.RescaleType = "MGML"


def _no_slope(made: FileDataset) -> None:
    del made.RescaleSlope


def _no_position(made: FileDataset) -> None:
    del made.ImagePositionPatient


def _coronal(made: FileDataset) -> None:
    made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def _coarser(made: FileDataset) -> None:
    made.PixelSpacing = [4.0, 4.0]


def _moved(made: FileDataset) -> None:
    made.FrameOfReferenceUID = uid("another frame")


def _smaller(made: FileDataset) -> None:
    made.Rows, made.PixelData = 4, made.PixelData[: len(made.PixelData) // 2]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_localiser, "localiser"),
        (_secondary, "secondary capture"),
        (_structures, "RT Structure Set"),
        (_several_frames, "several frames"),
        (_enhanced, "multi-frame object"),
        (_pixel_type, "'MGML'"),
        (_no_slope, "RescaleSlope"),
        (_no_position, "ImagePositionPatient"),
        (_coronal, "different ImageOrientationPatient"),
        (_coarser, "different PixelSpacing"),
        (_moved, "different FrameOfReferenceUID"),
        (_smaller, "different Rows (4, 8)"),
    ],
)
def test_one_slice_that_does_not_belong_is_refused_by_name(tmp_path: Path, spoil: object, words: str) -> None:
    slices = make_series(hounsfield())
    spoil(slices[2])  # type: ignore[operator]
    refused(write_series(tmp_path, slices), words)


def test_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, make_series(hounsfield(3)))
    other = make_series(activity(3), "PT", series="other")
    write_series(tmp_path, other, order=[10, 11, 12])
    refused(tmp_path, "files of 2 series (CT, PT)")


def test_a_single_slice_and_a_folder_without_slices_are_refused(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "one", make_series(hounsfield(1)))
    refused(folder, "a single slice")
    refused(folder / "000.dcm", "a single slice")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "without DICOM files")


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.6, 0.9, 0.995])
def test_a_cut_off_slice_is_refused_by_name(tmp_path: Path, kept: float) -> None:
    folder = write_series(tmp_path, make_series(hounsfield(4, (64, 64))))
    data = (folder / "002.dcm").read_bytes()
    (folder / "002.dcm").write_bytes(data[: int(kept * len(data))])
    refused(folder, "002.dcm")


@pytest.mark.parametrize("how", ["RLE", "JPEG", "JPEG2000"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_off_compressed_slice_is_refused_by_name(tmp_path: Path, how: str, kept: float) -> None:
    slices = compress(make_series(hounsfield(4, (64, 64))), how, tmp_path / "scratch")
    folder = write_series(tmp_path / "ct", slices)
    data = (folder / "002.dcm").read_bytes()
    (folder / "002.dcm").write_bytes(data[: int(kept * len(data))])
    refused(folder, "002.dcm")


def test_a_compression_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    slices = make_series(hounsfield())
    for made in slices:
        made.compress(RLELossless, generate_instance_uid=False)
        made.file_meta.TransferSyntaxUID = HTJ2KLossless
    refused(write_series(tmp_path, slices), "High-Throughput JPEG 2000")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_one_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write_series(tmp_path_factory.mktemp("damaged"), make_series(hounsfield(3)))
    path = folder / "001.dcm"
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(132, len(content) - 5))
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(bytes(content))
    sentence = sentence_about(folder)
    assert "\n" not in sentence
    assert NAME not in sentence


@pytest.mark.data
def test_a_real_abdomen_reads_as_itk_reads_it_with_air_for_padding(real_data: Path) -> None:
    folder = real_data / "ct_dicom_CRLM-CT-1004"
    ours, reference = read_image(folder), by_itk(folder)
    assert ours.GetSize() == (512, 512, 41)
    np.testing.assert_allclose(ours.GetOrigin(), reference.GetOrigin())
    np.testing.assert_allclose(ours.GetSpacing(), reference.GetSpacing())
    expected = sitk.GetArrayFromImage(reference)
    padding = expected == -3024
    values = sitk.GetArrayFromImage(ours)
    np.testing.assert_array_equal(values[~padding], expected[~padding])
    assert (values[padding] == -1000).all()
