"""Contours and segments on a CT's grid: known shapes, holes, other grids refused."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reactkd_auto.dataset_conversion.dicom.contours import contour_masks, structure_names
from reactkd_auto.dataset_conversion.dicom.segments import segment_masks, segment_names
from reactkd_auto.imageio import ImageFault, read_image
from tests.dicom_structures import write_segmentation, write_structures
from tests.dicom_writing import AXIAL, hounsfield, make_series, uid, write_series

SPACING = (3.0, 2.0, 1.5)
FRAME = frozenset({uid("P1", "frame")})


def circle(radius: float, z: float, centre: tuple[float, float] = (0.0, 0.0), points: int = 200) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    plane = np.column_stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)])
    return np.column_stack([plane, np.full(points, z)])


def rectangle(x: tuple[float, float], y: tuple[float, float], z: float) -> np.ndarray:
    return np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)])


def ct(
    folder: Path, *, count: int = 21, shape: tuple[int, int] = (60, 80), spacing: tuple[float, float, float] = SPACING
):
    """A CT centred on the origin, its slices and its image."""
    origin = tuple(-(n - 1) / 2 * s for n, s in zip((shape[1], shape[0], count), spacing[::-1], strict=True))
    slices = make_series(hounsfield(count, shape), spacing=spacing, origin=origin)
    return slices, read_image(write_series(folder / "ct", slices))


def mask_of(path: Path, grid: sitk.Image) -> np.ndarray:
    masks = dict(contour_masks(path, {1}, grid))
    assert list(masks) == [1]
    return masks[1]


def volume(mask: np.ndarray, grid: sitk.Image) -> float:
    return float(mask.sum() * np.prod(grid.GetSpacing()))


def test_a_sphere_has_its_volume_and_place(tmp_path: Path) -> None:
    slices, grid = ct(tmp_path)
    radius = 25.0
    heights = [3.0 * k for k in range(-8, 9)]
    drawn = [circle(np.sqrt(radius**2 - z**2), z, (6.0, -4.0)) for z in heights]
    mask = mask_of(write_structures(tmp_path / "s.dcm", slices[0], {"GTV": drawn}), grid)
    assert volume(mask, grid) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    centre = np.array([grid.TransformIndexToPhysicalPoint([int(i) for i in v[::-1]]) for v in np.argwhere(mask)]).mean(
        0
    )
    np.testing.assert_allclose(centre, (6.0, -4.0, 0.0), atol=0.1)


def test_a_rectangle_holds_exactly_the_voxels_whose_centres_lie_in_it(tmp_path: Path) -> None:
    slices, grid = ct(tmp_path)
    x, y = (-10.0, 12.1), (-7.3, 20.2)
    mask = mask_of(write_structures(tmp_path / "s.dcm", slices[0], {"GTV": [rectangle(x, y, 3.0)]}), grid)
    centres_x = grid.GetOrigin()[0] + 1.5 * np.arange(80)
    centres_y = grid.GetOrigin()[1] + 2.0 * np.arange(60)
    expected = np.outer((centres_y > y[0]) & (centres_y < y[1]), (centres_x > x[0]) & (centres_x < x[1]))
    np.testing.assert_array_equal(mask[11], expected)
    assert not np.delete(mask, 11, axis=0).any()


def test_a_hole_drawn_apart_or_joined_by_a_channel_is_a_hole(tmp_path: Path) -> None:
    slices, grid = ct(tmp_path)
    outer, inner = circle(24.0, 0.0), circle(10.0, 0.0)
    apart = mask_of(write_structures(tmp_path / "a.dcm", slices[0], {"GTV": [outer, inner]}), grid)
    channel = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    joined = mask_of(write_structures(tmp_path / "b.dcm", slices[0], {"GTV": [channel]}), grid)
    for mask in (apart, joined):
        assert volume(mask, grid) == pytest.approx(np.pi * (24**2 - 10**2) * 3, rel=0.01)
        assert not mask[10, 29:31, 39:41].any()
    island = mask_of(write_structures(tmp_path / "c.dcm", slices[0], {"GTV": [outer, inner, circle(4.0, 0.0)]}), grid)
    assert volume(island, grid) == pytest.approx(np.pi * (24**2 - 10**2 + 4**2) * 3, rel=0.02)


def test_a_contour_stored_twice_is_no_hole(tmp_path: Path) -> None:
    slices, grid = ct(tmp_path)
    mask = mask_of(write_structures(tmp_path / "s.dcm", slices[0], {"GTV": [circle(20.0, 0.0)] * 2}), grid)
    assert volume(mask, grid) == pytest.approx(np.pi * 400 * 3, rel=0.01)


@settings(max_examples=10, deadline=None)
@given(angles=st.tuples(*[st.floats(-170, 170)] * 3), radius=st.floats(10.0, 20.0))
def test_an_oblique_ct_gives_the_same_disc(
    angles: tuple[float, ...], radius: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("oblique")
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    slices = make_series(hounsfield(3, (60, 80)), orientation=(*axes[0], *axes[1]), origin=(5.0, 6.0, 7.0))
    grid = read_image(write_series(folder / "ct", slices))
    flat = circle(radius, 3.0, (60.0, 59.0))  # in the CT's own axes, from its first voxel; slice 1
    path = write_structures(folder / "s.dcm", slices[0], {"GTV": [flat @ axes + (5.0, 6.0, 7.0)]})
    mask = mask_of(path, grid)
    distance = np.hypot(*np.meshgrid(1.5 * np.arange(80) - 60.0, 2.0 * np.arange(60) - 59.0))
    assert mask[1][distance < radius - 0.01].all()
    assert not mask[1][distance > radius + 0.01].any()
    assert not mask[[0, 2]].any()


@pytest.mark.parametrize(
    ("heights", "words"),
    [((1.5,), "between the slices"), ((33.0,), "beyond"), ((-6.0, 0.0, 6.0), "no two neighbouring slices")],
)
def test_contours_that_were_not_drawn_on_the_ct_are_refused(
    tmp_path: Path, heights: tuple[float, ...], words: str
) -> None:
    slices, grid = ct(tmp_path)
    path = write_structures(tmp_path / "s.dcm", slices[0], {"GTV": [circle(10.0, z) for z in heights]})
    with pytest.raises(ImageFault, match=words):
        mask_of(path, grid)


def test_structures_of_another_frame_of_reference_are_passed_over(tmp_path: Path) -> None:
    slices, _ = ct(tmp_path)
    drawn = {"GTV": [circle(10.0, 0.0)], "GTV on MR": [circle(10.0, 0.0)]}
    path = write_structures(tmp_path / "s.dcm", slices[0], drawn, frames={"GTV on MR": uid("another")})
    assert structure_names(path, FRAME) == {1: "GTV"}


def two_masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    masks = {"liver": rng.random((21, 60, 80)) < 0.3, "mass": rng.random((21, 60, 80)) < 0.1}
    masks["mass"][:5] = False
    return masks


@pytest.mark.parametrize("options", [{}, {"flipped": True}, {"fractional": True}])
def test_segments_come_back_voxel_by_voxel(tmp_path: Path, options: dict[str, bool]) -> None:
    slices, grid = ct(tmp_path)
    masks = two_masks()
    path = write_segmentation(tmp_path / "seg.dcm", slices, masks, **options)
    assert segment_names(path, FRAME) == {1: "liver", 2: "mass"}
    found = dict(segment_masks(path, {1, 2}, grid))
    np.testing.assert_array_equal(found[1], masks["liver"])
    np.testing.assert_array_equal(found[2], masks["mass"])
    assert segment_names(path, frozenset({uid("another")})) == {}


def test_segments_on_another_grid_are_refused(tmp_path: Path) -> None:
    _, grid = ct(tmp_path)
    mask = {"liver": np.ones((21, 60, 80), bool)}
    others = {
        "shifted": ct(tmp_path / "a", spacing=(3.0, 2.0, 1.6))[0],
        "coarser": make_series(hounsfield(21, (20, 20)), spacing=(3.0, 4.0, 3.0), origin=(-59.25, -59.0, -30.0)),
        "larger": make_series(hounsfield(21, (70, 80)), spacing=SPACING, origin=(-59.25, -59.0, -30.0)),
        "sparse": make_series(hounsfield(9, (60, 80)), spacing=(6.0, 2.0, 1.5), origin=(-59.25, -59.0, -30.0)),
    }
    expected = {
        "shifted": "another grid",
        "coarser": "another grid",
        "larger": "beyond the CT",
        "sparse": "no two neighbouring",
    }
    for name, slices in others.items():
        shape = (len(slices), int(slices[0].Rows), int(slices[0].Columns))
        path = write_segmentation(tmp_path / f"{name}.dcm", slices, {"liver": np.ones(shape, bool)})
        with pytest.raises(ImageFault, match=expected[name]):
            list(segment_masks(path, {1}, grid))
    assert mask["liver"].all()


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_off_segmentation_is_refused(tmp_path: Path, kept: float) -> None:
    slices, grid = ct(tmp_path)
    path = write_segmentation(tmp_path / "seg.dcm", slices, two_masks())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ImageFault, match=r"seg\.dcm"):
        list(segment_masks(path, {1}, grid))


def test_axial_is_what_the_writer_means_by_it() -> None:
    np.testing.assert_array_equal(np.cross(AXIAL[:3], AXIAL[3:]), (0, 0, 1))
