"""`Predictor`: a model in memory, asked one CT after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, RawCase, check_units, read_image, same_grid, to_canonical
from reactkd_auto.inference.reading import ReadCase, geometry
from reactkd_auto.inference.results import RegionRow, RegionSource, Status

if TYPE_CHECKING:
    from reactkd_auto.dataset import Dataset
    from reactkd_auto.inference.model import LoadedModel

Image: TypeAlias = sitk.Image | NDArray[Any] | Path | str


@dataclass(frozen=True, eq=False)
class Prediction:
    """A model's answer about one CT.

    Attributes:
        status: ``classified`` or ``not classified``.
        reason: Why it was not classified; else empty.
        predicted_class: Name of the most probable class; None where not classified.
        probabilities: By class name, mean over folds and flips, calibrated where the model has a calibration, sum 1;
            empty where not classified.
        prediction_set: Classes that cannot be excluded at ``set_coverage``; empty without a calibration.
        set_coverage: Promised share of sets that hold the true class.
        uncertainty_std: Standard deviation over folds and flips of the predicted class's uncalibrated probability.
        entropy: Of the probabilities, 0 (sure) … 1 (even).
        noise_hu: Noise of the CT; None where it can't be measured.
        members: Passes averaged (folds × flips).
        regions: One row a region, with the grade of each lesion.
        regions_from: Where the region map came from.
        images: In the CT's own geometry: ``regions``; with ``explanation=True`` also ``explanation``, ``uncertainty``
            and ``attention``.
        warnings: Sentences that a person should read.
    """

    status: Status
    reason: str
    predicted_class: str | None
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    set_coverage: float | None
    uncertainty_std: float | None
    entropy: float | None
    noise_hu: float | None
    members: int
    regions: tuple[RegionRow, ...]
    regions_from: RegionSource
    images: dict[str, sitk.Image]
    warnings: tuple[str, ...]


class Predictor:
    """A model folder, loaded once; `predict` may be called as often as wanted.

    Example:
        >>> predictor = Predictor.from_folder("models/liver", device="cpu")
        >>> prediction = predictor.predict("ct.nii.gz")
        >>> prediction.predicted_class, prediction.probabilities
        ('high_grade', {'low_grade': 0.21, 'high_grade': 0.79})
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    @classmethod
    def from_folder(cls, folder: Path | str, *, folds: Sequence[int] | None = None, device: str = "auto") -> Predictor:
        """Load a model folder.

        Args:
            folder: As training or `install_model` left it.
            folds: Folds to average; None: every finished one.
            device: ``auto``, ``cuda`` or ``cpu``.

        Raises:
            UserError: No model folder, or one with a fault.
        """
        from reactkd_auto.device import choose_device
        from reactkd_auto.inference.model import choose_model, load_model

        found = choose_model(folder, dataset=None, workspace=None)
        wanted = None if folds is None else list(folds)
        return cls(load_model(found, folds=wanted, device=choose_device(device)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.dataset.classes

    def predict(
        self,
        ct: Image,
        *,
        spacing_mm: Sequence[float] | None = None,
        regions: Image | None = None,
        channels: Mapping[str, Image] | None = None,
        explanation: bool = False,
        flips: bool = True,
    ) -> Prediction:
        """Classify one CT; the same as `reactkd_auto.inference.predict` gives for it.

        Args:
            ct: In HU: a SimpleITK image; a file or the folder of a DICOM series; or an array (z, y, x) whose axes run
                to the head, the back and the patient's left.
            spacing_mm: (z, y, x), of arrays only.
            regions: Region map on the CT's grid (values of ``dataset.json``) instead of the model's localiser.
            channels: Other images that the model accepts, by channel name, such as a PET in SUV.
            explanation: Also explain.
            flips: Average mirror images, where the plan allows mirroring.

        Raises:
            UserError: An image that is not what it should be, or a channel that the model does not know.
        """
        from reactkd_auto.inference.answer import answer_case
        from reactkd_auto.inference.explanation import images_on_ct
        from reactkd_auto.inference.reading import on_own_grid

        dataset = self.model.dataset
        base = _image(ct, spacing_mm, dataset, 0)
        images = {0: to_canonical(base)}
        for name, image in (channels or {}).items():
            index = dataset.channel_index(name)
            if name in self.model.config.channels:
                images[index] = to_canonical(_image(image, spacing_mm, dataset, index))
        given = None if regions is None else _regions(regions, spacing_mm, images[0], dataset)
        read = ReadCase(RawCase("ct", images, given), geometry(base))
        answer = answer_case(read, self.model, key="", explanation=explanation, flips=flips)
        result, shown = answer.result, {}
        if answer.explanation is not None and answer.prepared is not None:
            shown = images_on_ct(answer.prepared, answer.explanation, answer.regions, read.own)
        elif answer.regions is not None:
            shown = {"regions": on_own_grid(answer.regions, read.own)}
        return Prediction(
            status=result.status,
            reason=result.reason,
            predicted_class=result.predicted_class,
            probabilities=dict(zip(self.classes, result.probabilities or (), strict=False)),
            prediction_set=result.prediction_set,
            set_coverage=result.set_coverage,
            uncertainty_std=result.uncertainty_std,
            entropy=result.entropy,
            noise_hu=result.noise_hu,
            members=result.members,
            regions=result.regions,
            regions_from=result.regions_from,
            images=shown,
            warnings=result.warnings,
        )


def _image(given: Image, spacing_mm: Sequence[float] | None, dataset: Dataset, channel: int) -> sitk.Image:
    """A float32 image with plausible values."""
    image, name = _opened(given, spacing_mm)
    if image.GetDimension() != 3:
        raise ImageFault(name, f"an image of {image.GetDimension()} dimensions", "three")
    image = sitk.Cast(image, sitk.sitkFloat32)
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise ImageFault(name, "NaN or infinite voxels", "numbers")
    check_units(image, dataset.channels[channel].role, name)
    return image


def _regions(given: Image, spacing_mm: Sequence[float] | None, base: sitk.Image, dataset: Dataset) -> sitk.Image:
    image, name = _opened(given, spacing_mm)
    values = np.unique(sitk.GetArrayViewFromImage(image))
    if unknown := sorted(set(values.tolist()) - {0, *(r.value for r in dataset.regions)}):
        raise ImageFault(name, f"a region map with the value {unknown[0]:g}", "the values of dataset.json")
    regions = to_canonical(sitk.Cast(image, sitk.sitkUInt8))
    if not same_grid(base, regions):
        raise ImageFault(name, "a region map on another grid", "the grid of the CT")
    return regions


def _opened(given: Image, spacing_mm: Sequence[float] | None) -> tuple[sitk.Image, Path]:
    """The image, and what messages call it."""
    if isinstance(given, (str, Path)):
        return read_image(Path(given)), Path(given)
    if isinstance(given, sitk.Image):
        return given, Path("image")
    if spacing_mm is None or len(spacing_mm) != 3:
        raise UserError(f"array: spacing_mm {spacing_mm}, expected three numbers (z, y, x) in mm.")
    image = sitk.GetImageFromArray(np.asarray(given))
    image.SetSpacing([float(s) for s in reversed(spacing_mm)])
    return image, Path("array")
