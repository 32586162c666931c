"""Messages to FHIR resources, by tables that a hospital analyst can read. See mappings/README.md."""

from engine.mapping.acts import Act, Doing
from engine.mapping.mapped import Context, FieldSource, Mapped
from engine.mapping.mapping import Mapping
from engine.mapping.mapping_set import MappingSet
from engine.mapping.testing import TestResult, run_tests

__all__ = ["Act", "Context", "Doing", "FieldSource", "Mapped", "Mapping", "MappingSet", "TestResult", "run_tests"]
