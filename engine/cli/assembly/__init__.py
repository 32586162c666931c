"""How do the parts fit together? The only place that wires adapters, gateway and core into the processes of a hub.

One file for each process: `engine`, `pipeline`, `web`, `gateway`. Each imports what it runs inside its own function: a
hub idles in few megabytes.
"""

from engine.cli.assembly.database import prepare
from engine.cli.assembly.engine import run_engine
from engine.cli.assembly.gateway import run_gateway
from engine.cli.assembly.ids import new_ids
from engine.cli.assembly.mapping_sets import mappings_of, own_mappings, shipped_mappings
from engine.cli.assembly.object_store import object_store_of, s3_of
from engine.cli.assembly.pipeline import run_pipeline
from engine.cli.assembly.web import run_web

__all__ = [
    "mappings_of",
    "new_ids",
    "object_store_of",
    "own_mappings",
    "prepare",
    "run_engine",
    "run_gateway",
    "run_pipeline",
    "run_web",
    "s3_of",
    "shipped_mappings",
]
