"""A folder tree of DICOM studies and a table of labels, as a raw dataset."""
