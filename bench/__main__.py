"""Every measurement, one after the other: `python -m bench`, or `make bench`."""

from __future__ import annotations

from bench import acks, hub, recording, understanding

for measure in (acks, understanding, recording, hub):
    measure.main()
