"""An answer as a DICOM structured report: the measurement report of template TID 1500."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes

from reactkd_auto.inference.dicom_out.identity import NAME, Identity, own_code
from reactkd_auto.inference.dicom_out.regions import LESION
from reactkd_auto.inference.implausible import place_of_noise
from reactkd_auto.inference.results import CaseResult, RegionRow

RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment."
_CLASSIFICATION = own_code("CLASSIFICATION", "Tumour classification from CT")
_PREDICTED = own_code("PREDICTED_CLASS", "Predicted class")
_NONE = own_code("NOT_CLASSIFIED", "Not classified")
_SPREAD = own_code("SPREAD", "Standard deviation of the probability over folds and flips")
_IN_SET = own_code("PREDICTION_SET", "Class in the prediction set")
_COVERAGE = own_code("SET_COVERAGE", "Coverage that the prediction set promises")
_NOISE = own_code("CT_NOISE", "Noise of the CT")
_TRAINED_LOW = own_code("NOISE_TRAIN_LOW", "Lowest noise that training saw")
_TRAINED_HIGH = own_code("NOISE_TRAIN_HIGH", "Highest noise that training saw")
_NOISE_RANGE = own_code("NOISE_RANGE", "Noise of the CT against the range that training saw")
_NOISE_PLACES = {
    "below": own_code("NOISE_BELOW", "Below the range that training saw"),
    "inside": own_code("NOISE_INSIDE", "Within the range that training saw"),
    "above": own_code("NOISE_ABOVE", "Above the range that training saw"),
}

_Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations


def structured_report(
    result: CaseResult,
    classes: Sequence[str],
    identity: Identity,
    *,
    regions: Segmentation | None,
    volumes_mm3: Sequence[float],
) -> Comprehensive3DSR:
    """The report: a group for the case, one for each graded lesion, one for each segment with its volume.

    Args:
        result: The answer.
        classes: Names of the classes.
        identity: Of the answer.
        regions: The segmentation, where there is one.
        volumes_mm3: Of its segments.
    """
    observer = ObserverContext(
        codes.DCM.Device,
        DeviceObserverIdentifyingAttributes(
            identity.uid("device"), name=NAME, manufacturer_name=NAME, model_name=f"{NAME} {identity.version}"
        ),
    )
    groups: list[_Group] = [_case_group(result, classes, identity)]
    groups += [_lesion_group(row, classes, identity) for row in result.regions if row.probabilities is not None]
    if regions is not None:
        groups += _segment_groups(regions, volumes_mm3, identity)
    report = MeasurementReport(
        ObservationContext(observer_device_context=observer),
        codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return Comprehensive3DSR(
        [*identity.slices, *([] if regions is None else [regions])],
        report,
        is_complete=True,
        **identity.arguments("report", 0),
    )


def _case_group(result: CaseResult, classes: Sequence[str], identity: Identity) -> _Group:
    answer = _NONE if result.predicted_class is None else _class_code(classes, result.predicted_class)
    measurements = list(_probabilities(result.probabilities, classes))
    if result.uncertainty_std is not None:
        measurements.append(Measurement(_SPREAD, _decimal(result.uncertainty_std), codes.UCUM.NoUnits))
    if result.set_coverage is not None:
        measurements.append(Measurement(_COVERAGE, _decimal(result.set_coverage), codes.UCUM.NoUnits))
    measurements += _noise(result)
    evaluations = [
        QualitativeEvaluation(_PREDICTED, answer),
        *(QualitativeEvaluation(_IN_SET, _class_code(classes, name)) for name in result.prediction_set),
    ]
    if place := place_of_noise(result.noise_hu, result.noise_trained_hu):
        evaluations.append(QualitativeEvaluation(_NOISE_RANGE, _NOISE_PLACES[place]))
    group = MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(identity.uid("case"), "case"),
        finding_type=_CLASSIFICATION,
        algorithm_id=_algorithm(identity),
        measurements=measurements or None,
        qualitative_evaluations=evaluations,
        source_images=[SourceImageForMeasurementGroup(s.SOPClassUID, s.SOPInstanceUID) for s in identity.slices],
    )
    for sentence in (RESEARCH_USE, result.reason, *result.warnings):
        if sentence:
            comment = TextContentItem(codes.DCM.Comment, sentence, relationship_type=RelationshipTypeValues.CONTAINS)
            group[0].ContentSequence.append(comment)
    return group


def _noise(result: CaseResult) -> Iterator[Measurement]:
    """Standard deviations of HU: of the CT, and the range of those that training saw."""
    low, high = result.noise_trained_hu or (None, None)
    for name, value in ((_NOISE, result.noise_hu), (_TRAINED_LOW, low), (_TRAINED_HIGH, high)):
        if value is not None:
            yield Measurement(name, _decimal(value), codes.UCUM.HounsfieldUnit, derivation=codes.SCT.StandardDeviation)


def _lesion_group(row: RegionRow, classes: Sequence[str], identity: Identity) -> _Group:
    volume = Measurement(codes.SCT.Volume, _decimal(row.volume_mm3), codes.UCUM.CubicMillimeter)
    grade = [QualitativeEvaluation(_PREDICTED, _class_code(classes, row.grade))] if row.grade else None
    return MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(identity.uid("node", row.node), row.node),
        finding_type=LESION,
        algorithm_id=_algorithm(identity),
        measurements=[volume, *_probabilities(row.probabilities, classes)],
        qualitative_evaluations=grade,
    )


def _segment_groups(regions: Segmentation, volumes_mm3: Sequence[float], identity: Identity) -> Iterator[_Group]:
    for number, (segment, mm3) in enumerate(zip(regions.SegmentSequence, volumes_mm3, strict=True), start=1):
        volume = Measurement(codes.SCT.Volume, _decimal(mm3), codes.UCUM.CubicMillimeter)
        yield VolumetricROIMeasurementsAndQualitativeEvaluations(
            TrackingIdentifier(str(segment.TrackingUID), str(segment.TrackingID)),
            referenced_segment=ReferencedSegment.from_segmentation(regions, number),
            finding_type=regions.get_segment_description(number).segmented_property_type,
            algorithm_id=_algorithm(identity),
            measurements=[volume],
        )


def _probabilities(probabilities: Sequence[float] | None, classes: Sequence[str]) -> Iterator[Measurement]:
    for index, (name, value) in enumerate(zip(classes, probabilities or (), strict=False)):
        meaning = own_code(f"P_CLASS_{index}", f"Probability of {name}")
        yield Measurement(meaning, _decimal(value), codes.UCUM.NoUnits)


def _class_code(classes: Sequence[str], name: str) -> CodedConcept:
    return own_code(f"CLASS_{list(classes).index(name)}", name)


def _algorithm(identity: Identity) -> AlgorithmIdentification:
    return AlgorithmIdentification(NAME, identity.version, parameters=[f"model {identity.model_hash}"])


def _decimal(value: float) -> float:
    """As DICOM's decimal strings hold it, 16 characters."""
    return float(f"{value:.8g}")
