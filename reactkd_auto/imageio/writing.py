"""Writing images so that a reader never sees half of one."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path

from .faults import ImageFault
from .nifti_header import check_complete
from .reading import image_format


def write_image(path: Path, image: sitk.Image) -> None:
    """Write an image, compressed where the format knows how, in one step: the old file or the whole new one.

    Raises:
        UserError: Unknown file ending, or the file could not be written (for instance a full disk, which ITK's NIfTI
            writer does not report: the written file is checked).
    """
    path = Path(path)
    name = image_format(path)
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True, imageIO=name)
            if name == "NiftiImageIO":
                check_complete(temporary)
        except (RuntimeError, ImageFault) as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"{path}: could not be written ({reason}); free space and check access.") from None
