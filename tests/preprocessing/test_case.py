import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.dataset import Channel
from reactkd_auto.dose import NoiseFields, calibrate
from reactkd_auto.imageio import RawCase
from reactkd_auto.plan import DosePlan, LocaliserPlan, Normalisation
from reactkd_auto.preprocessing import NoiseSource, preprocess_case
from reactkd_auto.preprocessing.back_to_ct import grid_of
from reactkd_auto.preprocessing.batch import collate
from tests.preprocessing.samples import IDENTITY, LESION, dataset, image_of, plan, positions, ramp, raw_case

TILTED = (1.0, 0.0, 0.0, 0.0, 0.98, 0.199, 0.0, -0.199, 0.98)


def preprocessed(raw: RawCase, **changes: object) -> PreprocessedCase:
    return preprocess_case(raw, plan=plan(**changes), dataset=dataset(), patient="p", label=1)


def with_image(raw: RawCase, index: int, image: sitk.Image) -> RawCase:
    return RawCase(raw.case, raw.images | {index: image}, raw.regions)


def test_stored_values_are_the_images_rounded_to_the_storage_scale() -> None:
    raw = raw_case()
    raw = with_image(raw, 0, ramp(raw.images[0], (0.9, -1.3, 0.7)))
    raw = with_image(raw, 1, ramp(raw.images[1], (0.02, 0.03, 0.01)))
    case = preprocessed(raw)
    where = positions(grid_of(case.properties, case.nodes.shape[1:]).image(case.nodes[0]))
    inside = (case.valid & 3) == 3
    assert inside.mean() > 0.5
    inner = (slice(4, -4),) * 3
    assert case.image[0][inner] == pytest.approx((where @ (0.9, -1.3, 0.7))[inner], abs=0.51)
    assert case.image[1][inner] * 0.01 == pytest.approx((where @ (0.02, 0.03, 0.01))[inner], abs=0.0051)


def test_a_missing_channel_is_zero_absent_and_nowhere_valid() -> None:
    case = preprocessed(raw_case())
    assert case.properties.present == (True, True, False)
    assert not case.image[2].any()
    assert not (case.valid & 4).any()


def test_validity_is_each_channels_own_extent() -> None:
    raw = raw_case()
    third = sitk.RegionOfInterest(raw.images[1], [14, 15, 4], [0, 0, 2])
    case = preprocessed(with_image(raw, 1, third))
    where = positions(grid_of(case.properties, case.nodes.shape[1:]).image(case.nodes[0]))
    for index, image in ((0, raw.images[0]), (1, third)):
        voxel = (where - np.array(image.GetOrigin())) / np.array(image.GetSpacing())
        slack = np.minimum(voxel + 0.5, np.array(image.GetSize()) - 0.5 - voxel).min(axis=-1)
        clear = np.abs(slack) > 1e-6
        assert np.array_equal((case.valid >> index & 1)[clear].astype(bool), (slack > 0)[clear])
    assert any("FDG covers only" in flag for flag in case.properties.flags)


def test_beyond_its_end_a_channel_keeps_its_edge_values() -> None:
    raw = raw_case()
    raw = with_image(raw, 0, sitk.Cast(raw.images[0] * 0 + 55, sitk.sitkFloat32))
    case = preprocessed(raw, patch_size=(32, 16, 16))
    assert not (case.valid & 1).all()
    assert (case.image[0] == 55).all()


def test_padding_outside_the_field_of_view_is_air_and_valid() -> None:
    raw = raw_case()
    array = sitk.GetArrayFromImage(raw.images[0])
    array[:, :12] = -3024
    padded = sitk.GetImageFromArray(array)
    padded.CopyInformation(raw.images[0])
    case = preprocessed(with_image(raw, 0, padded))
    assert case.image[0].min() == -1024
    assert np.array_equal(case.valid, preprocessed(raw).valid)


def test_values_too_large_for_int16_end_at_its_ends() -> None:
    raw = raw_case()
    hot = sitk.Cast(raw.images[1] * 0 + 1000, sitk.sitkFloat32)
    assert preprocessed(with_image(raw, 1, hot)).image[1].max() == 32767


def test_nodes_match_the_regions_and_a_case_without_regions_has_none() -> None:
    case = preprocessed(raw_case())
    assert case.properties.node_valid == (True, True, True, True, False, True, False)
    lesion = case.nodes[0] == 4
    assert lesion.sum() == 27
    none = preprocessed(raw_case(box=None))
    assert not any(none.properties.node_valid)
    assert len(none.properties.node_valid) == len(case.properties.node_valid)
    assert any("No organ or lesion" in flag for flag in none.properties.flags)


def test_zoom_is_recorded_and_flagged() -> None:
    case = preprocessed(raw_case(), patch_size=(4, 16, 16))
    assert case.properties.zoom == pytest.approx(2.0)
    assert case.properties.spacing_mm == pytest.approx((6.0, 4.0, 4.0))
    assert any("2.00 times coarser" in flag for flag in case.properties.flags)
    assert preprocessed(raw_case()).properties.flags == ()


def test_images_without_units_become_z_scores_of_what_is_not_background() -> None:
    values = np.zeros((24, 30, 28), np.float32)
    values[:, 10:] = np.random.default_rng(0).normal(1000, 50, (24, 20, 28))
    raw = with_image(raw_case(), 2, image_of(values))
    rule = Normalisation("mr", -5, 5, 0, 1, 0.001)
    base = plan()
    mr = dataclasses.replace(base, normalisation={**base.normalisation, "ACE": rule})
    mr_dataset = dataclasses.replace(dataset(), channels=(*dataset().channels[:2], Channel("ACE", "mr")))
    arguments = {"plan": mr, "dataset": mr_dataset, "patient": "p", "label": None}
    scores = preprocess_case(raw, **arguments).image[2] * 0.001
    tissue = scores[scores > -4]
    assert tissue.mean() == pytest.approx(0, abs=0.05)
    assert tissue.std() == pytest.approx(1, abs=0.05)
    brighter = with_image(raw, 2, image_of(values * 7))
    assert preprocess_case(brighter, **arguments).image[2] * 0.001 == pytest.approx(scores, abs=2e-3)


def test_the_coarse_image_covers_the_whole_ct_at_the_localisers_spacing() -> None:
    raw = raw_case()
    raw = with_image(raw, 0, ramp(raw.images[0], (1.0, 0.0, 0.0)))
    case = preprocessed(raw, localiser=LocaliserPlan(True, (6.0, 6.0, 6.0), (16, 16, 16)))
    assert case.coarse is not None
    assert case.coarse.shape == (2, 12, 10, 10)  # 72 × 60 × 56 mm
    assert np.diff(case.coarse[0, 5, 5, 2:8]) == pytest.approx(6.0, abs=1.0)
    assert set(np.unique(case.coarse[1])) == {0, 1, LESION}
    without = preprocessed(raw_case(box=None), localiser=LocaliserPlan(True, (6.0,) * 3, (16,) * 3))
    assert without.coarse is not None
    assert not without.coarse[1].any()


def test_a_binary_mask_needs_no_hu() -> None:
    base = plan()
    shape = dataclasses.replace(
        base, normalisation={**base.normalisation, "CT": Normalisation("binary_mask", 0, 1, 0, 1, 0.001)}
    )
    shapes = dataclasses.replace(dataset(), channels=(Channel("CT", "binary_mask"), *dataset().channels[1:]))
    raw = raw_case()
    raw = with_image(raw, 0, sitk.Cast(raw.images[0] > 0, sitk.sitkFloat32))
    case = preprocess_case(raw, plan=shape, dataset=shapes, patient="p", label=0)
    assert set(np.unique(case.image[0])) >= {0, 1000}
    assert case.properties.node_valid[5]


def test_noise_is_stored_as_it_arose_and_is_made_only_when_asked_for() -> None:
    dose = DosePlan(True, (0.05, 1.0), (0.05, 0.25))
    raw = raw_case((6, 48, 48), ((1, 6), (16, 32), (16, 32)))
    body = np.hypot(*np.mgrid[-23.5:24, -23.5:24]) < 22
    array = np.where(body, 40.0, -1000.0)[None] + np.random.default_rng(0).normal(0, 8, (6, 48, 48))
    ct = sitk.GetImageFromArray(array.astype(np.float32))
    ct.CopyInformation(raw.images[0])
    raw = with_image(raw, 0, ct)
    kind = {"plan": plan(dose=dose), "dataset": dataset(), "patient": "p", "label": 0}
    calibration = calibrate(ct)
    sources = [NoiseSource(calibration, seed, ("a remark",)) for seed in (5, 5, 6)]
    case, again, other = (preprocess_case(raw, noise=s, **kind) for s in sources)
    assert case.noise.shape == (2, 20, 20, 20)
    assert case.log_ratio.shape == (2, 20, 20, 20)
    assert case.properties.noise_levels == (0.05, 0.25)
    assert case.properties.dose_calibration is not None
    assert np.array_equal(case.noise, again.noise)
    assert not np.array_equal(case.noise, other.noise)
    batch = collate([case], kind["plan"], kind["dataset"])
    middle = batch.noise[:, :, 4:-4, 4:-4, 4:-4]
    assert 1.0 < middle.std() < 1000.0
    assert abs(float(np.corrcoef(middle[0, 0].ravel(), middle[0, 1].ravel())[0, 1])) < 0.2
    ratio = batch.log_ratio[0, :, 10, 10, 10]
    quantum_limit = 0.5 * np.log((1 / 0.05 - 1) / (1 / 0.25 - 1))  # electronic noise adds to it
    assert quantum_limit - 0.05 < float(ratio[0]) < quantum_limit + 1.0
    assert float(ratio[1]) == 0  # 25 % is the reference
    assert "a remark" in case.properties.flags
    quiet = preprocess_case(raw, **kind)
    assert quiet.noise.shape == (0, 20, 20, 20)
    assert quiet.properties.noise_levels == ()
    assert np.array_equal(quiet.image, case.image)


@pytest.mark.parametrize("direction", [IDENTITY, TILTED])
def test_noise_takes_the_same_way_onto_the_grid_as_the_image(
    monkeypatch: pytest.MonkeyPatch, direction: tuple[float, ...]
) -> None:
    """Noise fields that equal the CT must be stored as the CT is, cut to a slab and coarsened or not."""

    def image_as_noise(volume: sitk.Image, calibration: object, *, doses: tuple, **_: object) -> SimpleNamespace:
        array = sitk.GetArrayFromImage(volume)

        def of(first: int, stop: int) -> NoiseFields:
            part = array[first:stop]
            return NoiseFields(np.stack([part, -part]), np.stack([part / 100] * len(doses)), 0.25, doses, 1)

        return SimpleNamespace(of=of, stack=SimpleNamespace(order=(0, 1, 2)), reference=0.25)

    monkeypatch.setattr("reactkd_auto.dose.open_noise_fields", image_as_noise)
    changes = {"dose": DosePlan(True, (0.05, 1.0), (0.05, 0.25)), "patch_size": (6, 8, 8), "context_voxels": (2, 2, 2)}
    raw = raw_case((60, 40, 40), ((30, 42), (12, 28), (12, 28)), direction=direction)
    source = NoiseSource(calibrate(raw.images[0]), 1)
    for zoomed in (changes, changes | {"patch_size": (16, 16, 16)}):
        small = plan(**zoomed)
        case = preprocess_case(raw, plan=small, dataset=dataset(), patient="p", label=0, noise=source)
        assert case.noise[0] * 0.1 == pytest.approx(case.image[0], abs=0.56)
        assert case.noise[1] == pytest.approx(-case.noise[0], abs=1)
        assert case.noise[0].std() > 100


@pytest.mark.parametrize("direction", [IDENTITY, TILTED])
def test_a_case_made_in_slabs_is_the_case_made_at_once(
    monkeypatch: pytest.MonkeyPatch, direction: tuple[float, ...]
) -> None:
    dose, localiser = DosePlan(True, (0.05, 1.0), (0.05, 0.25)), LocaliserPlan(True, (9.0,) * 3, (8,) * 3)
    raw = raw_case((40, 40, 40), ((10, 32), (12, 28), (12, 28)), direction=direction)
    rules = plan(dose=dose, localiser=localiser, patch_size=(16, 16, 16))
    options = {"plan": rules, "dataset": dataset(), "patient": "p", "label": 0}
    source = NoiseSource(calibrate(raw.images[0]), 1)
    whole = preprocess_case(raw, noise=source, **options)
    for module in ("preprocessing.noise", "preprocessing.resample", "regions.rings"):
        monkeypatch.setattr(f"reactkd_auto.{module}.MOST_VOXELS", 40 * 40 * 15)
    slabs = preprocess_case(raw, noise=source, **options)
    assert slabs.properties == whole.properties
    for name in ("image", "valid", "nodes", "noise", "log_ratio", "coarse"):
        assert np.array_equal(getattr(slabs, name), getattr(whole, name)), name


@pytest.mark.data
def test_a_real_sarcoma_case_is_preprocessed(real_data) -> None:
    folder = real_data / "sts_petct" / "STS_009"
    names = {0: "ct", 1: "pet_fdg"}
    images = {i: sitk.ReadImage(str(folder / f"{n}.nii.gz"), sitk.sitkFloat32) for i, n in names.items()}
    gtv = sitk.ReadImage(str(folder / "gtv_on_ct.nii.gz"), sitk.sitkUInt8)
    raw = RawCase("STS_009", images, gtv * LESION)
    case = preprocessed(raw, patch_size=(48, 80, 64), spacing_mm=(3.27, 2.0, 2.0))
    voxel_mm3 = np.prod(case.properties.spacing_mm)
    volume = sitk.GetArrayViewFromImage(gtv).sum() * np.prod(gtv.GetSpacing())
    assert sum(case.properties.node_voxels[i] for i in (3, 4, 6)) * voxel_mm3 == pytest.approx(volume, rel=0.03)
    assert (case.valid & 1).any()
