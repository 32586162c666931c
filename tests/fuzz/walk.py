"""What bytes break the walk? A coverage-guided search: `python -m tests.fuzz.walk CORPUS [-max_total_time=3600]`.

Needs the extra `fuzz`. What it finds is kept as a case of `tests/unit/codecs/test_found_by_fuzzing.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["engine"]):
    from engine.cli.assembly import mappings_of
    from tests.fuzz.invariants import walk_holds

from engine import config

ROOT = Path(__file__).parents[2]


def seeds(corpus: Path) -> None:
    """Every sample message of the mappings is where the search begins."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(sorted((ROOT / "mappings").rglob("*.hl7"))):
        (corpus / f"seed-{number:03d}").write_bytes(sample.read_bytes())


def main() -> None:
    seeds(Path(sys.argv[1]))
    community = config.load(ROOT / "docker" / "example")
    mappings = mappings_of(community)
    atheris.Setup([*sys.argv, "-max_len=8192", "-timeout=10"], lambda data: walk_holds(data, community, mappings))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
