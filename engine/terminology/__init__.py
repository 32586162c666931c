"""Code tables: local codes to those everybody knows."""

from engine.terminology.table import Row, Table
from engine.terminology.tables import UNFINISHED, Tables
from engine.terminology.unfinished import unfinished

__all__ = ["UNFINISHED", "Row", "Table", "Tables", "unfinished"]
