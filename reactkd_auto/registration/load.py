"""A raw case with every channel in the space of its base image."""

from __future__ import annotations

from pathlib import Path

from reactkd_auto.dataset import Dataset, Session, TransformKind, session_ct_path
from reactkd_auto.fingerprint import Registration
from reactkd_auto.imageio import RawCase, load_case
from reactkd_auto.jsonio import content_hash

from .files import SESSIONS, read_session
from .moving import bring
from .picture import draw_registration
from .session import SessionImages, register
from .store import Drawn, read_registration, read_transforms, write_registration
from .window import marked_voxels

REGISTRATION_VERSION = 1
"""Raised when registration changes its results, so that stored ones are made again."""


def load_registered(
    raw: Path, dataset: Dataset, case: str, *, store: Path, key: str
) -> tuple[RawCase, tuple[Registration, ...]]:
    """Read a training case; channels of other sessions are brought onto the base image, or left out.

    Args:
        raw: Folder of the raw dataset.
        dataset: Its description.
        case: Name of the case.
        store: Where registrations are kept (`reactkd_auto.registration.store`).
        key: Of the case's files; with the session's settings it decides whether a kept registration is still good.

    Raises:
        ImageFault: As `reactkd_auto.imageio.load_case`; a session's CT or its region map cannot be used.
    """
    loaded = load_case(raw, dataset, case)
    images, records = dict(loaded.images), []
    for session in dataset.sessions:
        present = [i for i in sorted(images) if dataset.channels[i].name in session.channels]
        if present:
            record = _registered(raw, dataset, loaded, session, store=store, key=key)
            records.append(record)
            own = {i: images.pop(i) for i in present}
            if not record.refusal:
                rigid, bspline = read_transforms(store, session.name, case)
                images |= {i: bring(image, rigid, bspline) for i, image in own.items()}
    return RawCase(case, images, loaded.regions), tuple(records)


def _registered(raw: Path, dataset: Dataset, case: RawCase, session: Session, *, store: Path, key: str) -> Registration:
    """What is kept of a session's registration, made now where nothing is."""
    key = content_hash([REGISTRATION_VERSION, key, session])
    known = read_registration(store, session.name, case.case, key)
    if known is not None:
        return known
    names = tuple(n for n in session.channels if dataset.channel_index(n) in case.images)
    folder = raw / SESSIONS["imagesTr"]
    path = session_ct_path(folder, session.name, case.case, dataset.file_ending)
    if not path.exists():
        missing = Registration(session.name, names, key, session.transform, None, f"its CT {path.name} is missing")
        write_registration(store, case.case, missing)
        return missing
    base = SessionImages(case.images[0], marked_voxels(case.regions, dataset))
    other = read_session(folder, dataset, session, case.case)
    found = register(base, other, session.transform)
    used: TransformKind = "rigid" if found.bspline is None else "rigid_bspline"
    record = Registration(session.name, names, key, used, found.quality, found.refusal)
    write_registration(store, case.case, record, Drawn(found, draw_registration(base, other, found)))
    return record


def registration_flag(record: Registration) -> str:
    """What a person should know about a session that was refused; empty for one that is used."""
    if not record.refusal:
        return ""
    return f"{' and '.join(record.channels)} of session {record.session} counts as missing: {record.refusal}."
