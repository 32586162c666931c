"""The core of hutong: it decides and never dials out."""
