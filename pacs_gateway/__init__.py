"""The imaging gateway: DICOM objects come in, are kept exactly, and become studies; worklists and pictures go out."""
