"""When a PET was scanned and when its tracer was injected, from the header of its slices.

The start of the scan is found as the vendor-neutral pseudo-code of the QIBA FDG-PET/CT profile does: the series' time,
unless it lies after an acquisition (a series that was processed later); then GE's private scan time; then, for each
slice, its acquisition time less its frame reference time plus the time of the frame's average count rate; then the
earliest acquisition time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from .dicom_header import DicomFile
from .dicom_series import series_name
from .faults import ImageFault

ROUNDING = timedelta(seconds=1)
LARGEST_DISAGREEMENT = timedelta(seconds=60)
LARGEST_SCATTER = timedelta(seconds=10)
DATED_HALF_LIFE_S = 12 * 3600.0
"""Tracers that live longer may be scanned days after injection, so a time of day without a date says too little."""
_TIME = re.compile(r"(?P<hours>[01]\d|2[0-3])((?P<minutes>[0-5]\d)((?P<seconds>[0-5]\d|60)(?P<fraction>\.\d{0,6})?)?)?")
_DATE_TIME = re.compile(r"(?P<day>\d{8})(?P<time>\d{4}(\d\d(\.\d{0,6})?)?)(?P<offset>[+-]\d{4})?")
_OFFSET = re.compile(r"[+-]\d{4}")
_GE_CREATOR, _GE_GROUP, _GE_SCAN_TIME = "GEMS_PETD_01", 0x0009, 0x0D


def scan_start(files: Sequence[DicomFile], half_life_s: float) -> datetime:
    """The time to which the vendor corrected the decay of all slices (``DecayCorrection`` START).

    Raises:
        ImageFault: No series or acquisition time, or slices that contradict one another.
    """
    series = _moment(files[0], "Series")
    acquired = [_moment(f, "Acquisition") for f in files]
    if series <= min(acquired) + ROUNDING:
        return series
    if text := files[0].private_text(_GE_CREATOR, _GE_GROUP, _GE_SCAN_TIME):
        return _parse(files[0], "GE's private scan time (0009,100d)", text)
    if not all(_milliseconds(f, "FrameReferenceTime") > 0 and _duration_s(f) > 0 for f in files):
        return min(acquired)
    means = [mean_acquisition(f, half_life_s) for f in files]
    references = [timedelta(milliseconds=_milliseconds(f, "FrameReferenceTime")) for f in files]
    starts = [mean - reference for mean, reference in zip(means, references, strict=True)]
    if max(starts) - min(starts) > LARGEST_SCATTER:
        found = f"slices whose times give starts of the scan {_words(max(starts) - min(starts))} apart"
        raise ImageFault(series_name(files), found, "one start of the scan, to which decay was corrected")
    return min(starts)


def mean_acquisition(file: DicomFile, half_life_s: float) -> datetime:
    """When a slice without decay correction had its average count rate.

    Raises:
        ImageFault: No acquisition time or no duration of the frame.
    """
    duration = _duration_s(file)
    if duration <= 0:
        raise ImageFault(file.path, "no ActualFrameDuration", "the frame's duration, for decay correction")
    return _moment(file, "Acquisition") + timedelta(seconds=mean_time_s(duration, half_life_s))


def mean_time_s(duration_s: float, half_life_s: float) -> float:
    """Time from a frame's start to its average count rate: ln(λT / (1 − exp(−λT))) / λ, with λ = ln 2 / half-life."""
    decay = math.log(2) / half_life_s
    return math.log(decay * duration_s / -math.expm1(-decay * duration_s)) / decay


def injection_time(file: DicomFile, scanned: datetime, half_life_s: float) -> datetime:
    """When the tracer was injected; a time of day later than the scan's is the day before (scans past midnight).

    Args:
        file: Any slice.
        scanned: Start of the scan.
        half_life_s: Of the nuclide, seconds.

    Raises:
        ImageFault: No injection time, two that contradict each other, or one without a date for a long-lived nuclide.
    """
    item = file.items("RadiopharmaceuticalInformationSequence")[0]
    dated, time = (item.text(f"RadiopharmaceuticalStart{kind}") for kind in ("DateTime", "Time"))
    same_day = _combine(file, "RadiopharmaceuticalStartTime", scanned.date(), time) if time else None
    if dated:
        moment = _parse(file, "RadiopharmaceuticalStartDateTime", dated)
        if same_day is not None and abs(_clock(moment) - _clock(same_day)) > LARGEST_DISAGREEMENT:
            found = "RadiopharmaceuticalStartTime and RadiopharmaceuticalStartDateTime that disagree"
            raise ImageFault(file.path, found, "one time of injection")
        return moment
    if same_day is None:
        raise ImageFault(file.path, "no RadiopharmaceuticalStartTime", "the time of injection, for decay correction")
    if half_life_s > DATED_HALF_LIFE_S:
        found = f"a time of injection without a date, for a half-life of {half_life_s / 3600:.1f} h"
        raise ImageFault(file.path, found, "RadiopharmaceuticalStartDateTime")
    return same_day if same_day <= scanned + ROUNDING else same_day - timedelta(days=1)


def _moment(file: DicomFile, what: str) -> datetime:
    day, time = file.text(f"{what}Date") or file.text("SeriesDate"), file.text(f"{what}Time")
    if not day or not time:
        raise ImageFault(file.path, f"no {what}Date or {what}Time", "both, for decay correction")
    return _combine(file, f"{what}Time", _day(file, f"{what}Date", day), time)


def _day(file: DicomFile, what: str, text: str) -> date:
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        raise ImageFault(file.path, f"an unreadable {what}", "a date YYYYMMDD") from None


def _combine(file: DicomFile, what: str, day: date, text: str) -> datetime:
    """A day and a DICOM time: HH, HHMM, HHMMSS or HHMMSS.FFFFFF, with colons in old files."""
    match = _TIME.fullmatch(text.replace(":", ""))
    if match is None:
        raise ImageFault(file.path, f"an unreadable {what}", "a time HHMMSS")
    hours, minutes, seconds = (int(match[k] or 0) for k in ("hours", "minutes", "seconds"))
    midnight = datetime(day.year, day.month, day.day)
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds + float(f"0{match['fraction'] or ''}"))


def _parse(file: DicomFile, what: str, text: str) -> datetime:
    """A DICOM date and time as local time; an offset from UTC is turned into the data set's own where it has one."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ImageFault(file.path, f"an unreadable {what}", "a date and time YYYYMMDDHHMMSS")
    moment = _combine(file, what, _day(file, what, match["day"]), match["time"])
    theirs, ours = match["offset"], file.text("TimezoneOffsetFromUTC")
    return moment - _offset(theirs) + _offset(ours) if theirs and _OFFSET.fullmatch(ours) else moment


def _offset(text: str) -> timedelta:
    return (-1 if text[0] == "-" else 1) * timedelta(hours=int(text[1:3]), minutes=int(text[3:]))


def _clock(moment: datetime) -> timedelta:
    return timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)


def _milliseconds(file: DicomFile, keyword: str) -> float:
    return file.numbers(keyword, 1)[0] if file.text(keyword) else 0.0


def _duration_s(file: DicomFile) -> float:
    return _milliseconds(file, "ActualFrameDuration") / 1000


def _words(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
