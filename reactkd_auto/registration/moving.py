"""Channels of a session, brought to where the base image shows the same tissue."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from reactkd_auto.imageio import to_canonical


def bring(image: sitk.Image, rigid: sitk.Euler3DTransform, bspline: sitk.BSplineTransform | None) -> sitk.Image:
    """An image of the session in the base image's space.

    A rigid transform moves the image's grid and touches no voxel; the one interpolation is preprocessing's own.
    B-splines are interpolated onto that moved grid, with edges replicated.

    Args:
        image: Any channel of the session.
        rigid, bspline: Points of the base image go through ``bspline``, then through ``rigid``, to the session's.
    """
    back = sitk.Euler3DTransform(rigid.GetInverse())
    turned = np.array(back.GetMatrix()).reshape(3, 3) @ np.array(image.GetDirection()).reshape(3, 3)
    moved = sitk.Image(image)
    moved.SetOrigin(back.TransformPoint(image.GetOrigin()))
    moved.SetDirection([float(v) for v in turned.ravel()])
    if bspline is not None:
        both = sitk.CompositeTransform([rigid, bspline])
        moved = sitk.Resample(image, moved, both, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    return to_canonical(moved)
