"""What prediction leaves behind can be handed on: it holds nothing that a DICOM header says about the patient."""

import gzip

import SimpleITK as sitk

from reactkd_auto.inference.api import predict
from tests.dicom_writing import BIRTH_DATE, NAME, make_series, write_series
from tests.inference.conftest import simulated_ct


def test_no_planted_name_is_anywhere(model, tmp_path):
    """From a DICOM series: neither name nor birth date nor UID in any file, packed or not."""
    ct, labels = simulated_ct(0)
    values, spacing = sitk.GetArrayFromImage(ct), ct.GetSpacing()[::-1]
    slices = make_series(values, patient="MRN-4711", spacing=spacing, origin=ct.GetOrigin())
    write_series(tmp_path / "in", slices)
    sitk.WriteImage(labels, str(tmp_path / "regions.nii.gz"))
    regions = tmp_path / "regions.nii.gz"
    run = predict(tmp_path / "in", tmp_path / "out", model=model.path, regions=regions, device="cpu", quiet=True)
    assert run.count("classified") == 1
    secrets = (NAME, NAME.split("^")[0], BIRTH_DATE, "MRN-4711", str(slices[0].SeriesInstanceUID))
    for path in (p for p in run.output.rglob("*") if p.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert [s for s in secrets if s.encode() in content or s in path.name] == [], path.name
