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

XML = (
    b'<?xml version="1.0" encoding="UTF-8"?><ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1>'
    b"<MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A04</MSG.2></MSH.9><MSH.10>X1</MSH.10><MSH.12>"
    b"<VID.1>2.5</VID.1></MSH.12></MSH><PID><PID.3><CX.1>B1</CX.1></PID.3><PID.5><XPN.1><FN.1>\xe7\x8e\x8b</FN.1>"
    b"</XPN.1></PID.5></PID></ADT_A01>"
)
ROOT = Path(__file__).parents[2]


def seeds(corpus: Path) -> None:
    """Every sample message of the mappings is where the search begins."""
    corpus.mkdir(parents=True, exist_ok=True)
    samples = [sample.read_bytes() for sample in sorted((ROOT / "mappings").rglob("*.hl7"))]
    enclosed = b"FHS|^~\\&\rBHS|^~\\&\r" + samples[0] + samples[1] + b"\rBTS|2\rFTS|1\r"
    for number, sample in enumerate([*samples, enclosed, XML]):
        (corpus / f"seed-{number:03d}").write_bytes(sample)


def main() -> None:
    seeds(Path(sys.argv[1]))
    community = config.load(ROOT / "docker" / "example")
    mappings = mappings_of(community)
    atheris.Setup([*sys.argv, "-max_len=8192", "-timeout=10"], lambda data: walk_holds(data, community, mappings))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
