"""Code tables: local codes to those everybody knows."""

from engine.terminology.table import Row, Table
from engine.terminology.tables import Tables

__all__ = ["Row", "Table", "Tables"]
