"""The command line: one file per command, and assembly.py, the only place that wires parts together."""
