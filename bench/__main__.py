"""Every measurement, one after the other: `python -m bench`, or `make bench`."""

from __future__ import annotations

from bench import acks, hub, peer_acks, recording, understanding

for measure in (acks, peer_acks, understanding, recording, hub):
    measure.main()
