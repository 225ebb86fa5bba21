"""CT volumes as axial stacks, whatever they came as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.errors import UserError

_LARGEST_TILT_COSINE = 0.82
_WHOLE_BODY_MM = 200.0


@dataclass(frozen=True, eq=False)
class AxialStack:
    """A volume with its axial slices along the first axis.

    Attributes:
        array: (z, y, x) HU, the input's own dtype.
        spacing: (z, y, x) mm.
        order: Axis of the given array (of the image's array) that each axis of the stack was.
        wrap: Turns an array with the axes as given into the kind of thing that came in (image or array).
    """

    array: NDArray[Any]
    spacing: tuple[float, float, float]
    order: tuple[int, int, int]
    wrap: Callable[[NDArray[Any]], Any]

    def as_given(self, values: NDArray[Any]) -> NDArray[Any]:
        """An array (..., z, y, x) of the stack with the axes of the volume as given."""
        lead = values.ndim - 3
        back = np.argsort(self.order) + lead
        return np.ascontiguousarray(values.transpose(*range(lead), *back))

    def restore(self, values: NDArray[Any]) -> Any:
        """An array of the stack's shape as the kind of thing that came in."""
        return self.wrap(self.as_given(values))


def axial_stack(volume: Any, spacing: tuple[float, float, float] | None = None) -> AxialStack:
    """Read a SimpleITK image (its direction says which axis is axial) or a (z, y, x) array with ``spacing`` in mm.

    Raises:
        UserError: Not three-dimensional, no spacing, oblique by more than 35°, empty, or plainly not in HU.
    """
    is_image = hasattr(volume, "GetDirection")
    return _from_image(volume) if is_image else _from_array(np.asarray(volume), spacing)


def oriented_stack(
    array: NDArray[Any],
    spacing: Sequence[float],
    direction: Sequence[float],
    wrap: Callable[[NDArray[Any]], Any] = lambda values: values,
) -> AxialStack:
    """An array whose axes run as an image's direction says; its values are looked at, not copied.

    Args:
        array: (z, y, x) HU, in the order of the image's storage.
        spacing: (x, y, z) mm, as SimpleITK has it.
        direction: Nine numbers, row by row, as SimpleITK has them.
        wrap: See `AxialStack`.

    Raises:
        UserError: Oblique by more than 35°, or plainly not in HU.
    """
    axes = np.asarray(direction).reshape(3, 3)
    axis = int(np.argmax(np.abs(axes[2])))
    if abs(axes[2, axis]) < _LARGEST_TILT_COSINE:
        raise UserError(
            "dose degradation: the CT is oblique by more than 35°, expected slices that are about axial;"
            " resample it to its acquired planes."
        )
    # SimpleITK's axis i is the array's axis 2 − i; the axial one goes to the front.
    front = 2 - axis
    first, second = (a for a in range(3) if a != front)
    mm = [float(s) for s in spacing[::-1]]
    order = (front, first, second)
    return _checked(AxialStack(array.transpose(order), (mm[front], mm[first], mm[second]), order, wrap))


def _from_array(array: NDArray[Any], spacing: tuple[float, float, float] | None) -> AxialStack:
    _check_shape(array.shape)
    if spacing is None or len(spacing) != 3 or not all(s > 0 for s in spacing):
        raise UserError(f"dose degradation: found spacing {spacing}, expected (z, y, x) in mm with the CT array.")
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise UserError(f"dose degradation: found an array of {array.dtype}, expected numbers in HU.")
    z, y, x = (float(s) for s in spacing)
    return _checked(AxialStack(array, (z, y, x), (0, 1, 2), lambda values: values))


def _from_image(image: Any) -> AxialStack:
    import SimpleITK as sitk

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise UserError(
            f"dose degradation: found a {image.GetDimension()}-dimensional image of"
            f" {image.GetNumberOfComponentsPerPixel()} component(s), expected one 3D CT."
        )
    array = sitk.GetArrayFromImage(image)
    _check_shape(array.shape)

    def wrap(values: NDArray[Any]) -> Any:
        result = sitk.GetImageFromArray(values)
        result.CopyInformation(image)
        return result

    return oriented_stack(array, image.GetSpacing(), image.GetDirection(), wrap)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape, default=0) < 1:
        raise UserError(f"dose degradation: found an array of shape {shape}, expected a 3D CT (z, y, x).")


def _checked(stack: AxialStack) -> AxialStack:
    """A whole field of view must hold air; small crops may well not."""
    extents = [n * s for n, s in zip(stack.array.shape[1:], stack.spacing[1:], strict=True)]
    if min(extents) < _WHOLE_BODY_MM:
        return stack
    sample = stack.array[:: max(1, stack.array.shape[0] // 16), ::4, ::4]
    finite = sample[np.isfinite(sample)]
    if finite.size and finite.min() < finite.max() and finite.min() > -500:
        raise UserError(
            f"dose degradation: a field of view of {extents[0]:.0f} × {extents[1]:.0f} mm holds values from"
            f" {finite.min():g} to {finite.max():g}, expected HU with air near −1000; PET, MR or unscaled CT"
            " cannot be degraded."
        )
    return stack
