"""The DICOM Conformance Statement: what this configuration offers to others, generated and never written by hand."""
