"""A transform that brings one CT onto another: rigid, then B-splines if asked for; by Mattes' mutual information.

Runs on one thread with a fixed seed: the same images give the same transform, bit for bit.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

BINS = 32
SEED = 20240229
RIGID_SAMPLES, BSPLINE_SAMPLES = 50_000, 20_000
"""Voxels drawn at random at each level: the histogram of Mattes' measure is smooth long before all are seen."""
MESH_MM = 60.0
"""Distance of the B-spline's control points: organs shift against one another, tissue does not ripple."""
LARGEST_MESH = 8


def translation(fixed: sitk.Image, shift: tuple[float, float, float]) -> sitk.Euler3DTransform:
    """A start for `solve_rigid`: no rotation, turning round the middle of ``fixed``; ``shift`` (x, y, z) in mm."""
    middle = fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    return sitk.Euler3DTransform(middle, 0.0, 0.0, 0.0, shift)


def solve_rigid(
    fixed: sitk.Image, moving: sitk.Image, start: sitk.Euler3DTransform, *, shrink: tuple[int, ...]
) -> sitk.Euler3DTransform:
    """Rigid transform of points of ``fixed`` to points of ``moving``.

    Args:
        fixed, moving: Isotropic grids of HU.
        start: See `translation`.
        shrink: By how much the images are thinned out, coarse to fine.

    Raises:
        RuntimeError: The images do not overlap at the start.
    """
    method = _method(fixed, shrink, RIGID_SAMPLES)
    method.SetInitialTransform(start, inPlace=False)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.005, numberOfIterations=100, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return sitk.Euler3DTransform(_single(method.Execute(fixed, moving)))


def solve_deformable(fixed: sitk.Image, moving: sitk.Image, rigid: sitk.Transform) -> sitk.BSplineTransform:
    """B-spline that bends points of ``fixed`` before ``rigid`` takes them to ``moving``."""
    extent = [n * s for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [min(LARGEST_MESH, max(1, round(mm / MESH_MM))) for mm in extent]
    method = _method(fixed, (4, 2), BSPLINE_SAMPLES)  # control points so far apart see no more in the finest images
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(sitk.BSplineTransformInitializer(fixed, mesh, order=3), inPlace=False)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-4, numberOfIterations=15, maximumNumberOfFunctionEvaluations=25
    )
    return sitk.BSplineTransform(_single(method.Execute(fixed, moving)))


def smallest_jacobian(bspline: sitk.Transform, fixed: sitk.Image) -> float:
    """Smallest local change of volume that a transform makes within an image; below 0 it folds space."""
    to_field = sitk.TransformToDisplacementFieldFilter()
    to_field.SetReferenceImage(fixed)
    jacobian = sitk.DisplacementFieldJacobianDeterminant(to_field.Execute(bspline))
    return float(np.min(sitk.GetArrayViewFromImage(jacobian)))


def _method(fixed: sitk.Image, shrink: tuple[int, ...], samples: int) -> sitk.ImageRegistrationMethod:
    """Coarse to fine by these factors; no axis is thinned out to fewer than 8 voxels."""
    most = max(1, min(fixed.GetSize()) // 8)
    factors = [min(f, most) for f in shrink]
    voxels = [fixed.GetNumberOfPixels() / f**3 for f in factors]
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums of threads depend on their order
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([min(1.0, samples / v) for v in voxels], SEED)
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([0.5 * (f - 1) * fixed.GetSpacing()[0] for f in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _single(transform: sitk.Transform) -> sitk.Transform:
    """What is inside the composite that SimpleITK wraps results in."""
    if transform.GetTransformEnum() == sitk.sitkComposite:
        return sitk.CompositeTransform(transform).GetBackTransform()
    return transform
