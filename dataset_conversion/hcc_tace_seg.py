"""Convert HCC-TACE-Seg: CT before chemoembolisation; regions liver, mass, portal vein and aorta; a clinical label.

Layout of the source folder, as TCIA's download makes it (any nesting will do; PatientID decides)::

    HCC_001/STUDY/SERIES/1-001.dcm           CT before and after treatment, several series a patient
    HCC_001/STUDY/SERIES/1-1.dcm             DICOM SEG on a CT before treatment
    HCC-TACE-Seg_clinical_data-V2.xlsx       columns TCIA_ID (= PatientID) and many more

Segments are ``Liver``, ``Mass``, ``Portal vein`` and ``Abdominal aorta``: each becomes its own region, and where they
overlap the mass covers the vessels, the vessels the liver. Others (necrosis) are left out.

The CT is the series that the segmentation refers to. It often holds several contrast phases at the same positions,
told apart by AcquisitionNumber only; the portal venous one is taken (highest attenuation of portal vein less aorta).
A series whose slices can't be told apart, or with gaps, is reported, as are segments that are not on the CT's grid.

``--label`` names the clinical table's column of classes. Without ``--classes`` all its values are classes; with it
they are those values in that order, and patients with another value are ungraded, as are those with an empty cell.

Public source: TCIA collection HCC-TACE-Seg (Moawad et al. 2021, doi 10.7937/TCIA.5FNA-0924, CC BY 4.0; described in
Moawad et al. 2023, doi 10.1038/s41597-023-01928-3), 105 patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reactkd_auto.dataset import Channel, Dataset
from reactkd_auto.dataset_conversion.clinical_tables import class_values, read_column
from reactkd_auto.dataset_conversion.cohort import Conversion, cohort_parser, run_converter
from reactkd_auto.dataset_conversion.copying import safe_case
from reactkd_auto.dataset_conversion.dicom.choices import ANY, Choices, region_choices
from reactkd_auto.dataset_conversion.dicom.convert import write_studies
from reactkd_auto.dataset_conversion.dicom.label_table import LabelRow
from reactkd_auto.dataset_conversion.dicom.phases import PortalVenousWriter
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.imageio.dicom_tree import scan_tree

NAME = "HCC_TACE_Seg"
TABLE = "HCC-TACE-Seg_clinical_data-V2.xlsx"
PATIENT = "TCIA_ID"
REGIONS = region_choices(["liver=liver"], ["portal_vein=*portal*vein*", "aorta=*aorta*"], ["mass=*mass*"])


def convert_hcc_tace_seg(
    source: Path,
    *,
    clinical: Path | None = None,
    label: str = "BCLC",
    classes: Sequence[str] | None = None,
    workspace: Path | None = None,
    id: int | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert the collection; a bad case is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder as in the module's description.
        clinical: The clinical table (``.xlsx`` or ``.csv``); None: the one in ``source``, by its official name.
        label: Its column of classes.
        classes: Values of that column, lowest grade first; None: all, sorted.
        workspace: Workspace folder.
        id: Dataset number.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No table, a missing column, fewer than two classes, a folder with cases made with other options.
    """
    source = Path(source)
    table = Path(clinical) if clinical else source / TABLE
    names, labels = class_values(table, read_column(table, PATIENT, label), classes)
    regions = [c.region for c in REGIONS]
    dataset = Dataset(
        name=NAME,
        channels=(Channel("CT", "ct"),),
        classes=names,
        regions=tuple(regions),
        classes_ordered=classes is not None,
        description=f"CT before chemoembolisation of hepatocellular carcinoma; classes: {label}.",
        source="TCIA HCC-TACE-Seg, doi 10.7937/TCIA.5FNA-0924",
        licence="CC BY 4.0",
    )
    options = {"clinical": table.resolve(), "label": label, "classes": classes and list(classes)}
    folder = open_cohort(workspace, NAME, id, {"source": source.resolve(), **options})
    values = {r.name: r.value for r in regions}
    writer = PortalVenousWriter(
        folder,
        dataset,
        Choices(ANY, (), REGIONS),
        skip_bad_channels=False,
        portal=values["portal_vein"],
        aorta=values["aorta"],
    )
    patients = [
        LabelRow(safe_case(table, patient), patient, patient, "", name, f"{table}, patient {patient}")
        for patient, name in labels.items()
    ]
    tree = scan_tree(source, quiet=quiet)
    return write_studies(folder, dataset, patients, tree, writer, options=options, workers=workers, quiet=quiet)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_hcc_tace_seg``."""
    parser = cohort_parser("reactkd_convert_hcc_tace_seg", __doc__ or "")
    clinical_help = f"the clinical table, .xlsx or .csv; default: {TABLE} in SOURCE"
    parser.add_argument("--clinical", type=Path, metavar="TABLE", help=clinical_help)
    parser.add_argument("--label", metavar="COLUMN", default="BCLC", help="its column of classes")
    parser.add_argument("--classes", nargs="+", metavar="VALUE", help="values of that column, lowest grade first")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_hcc_tace_seg``."""
    return run_converter(convert_hcc_tace_seg, build_parser(), argv)
