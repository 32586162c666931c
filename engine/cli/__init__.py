"""The command line: one file per command, and assembly/, the only place that wires parts together."""
