"""Where do the ids of envelopes come from?"""

from __future__ import annotations

import random
import secrets

from engine.envelope import EnvelopeIds


def new_ids() -> EnvelopeIds:
    """Ids of this process. They must differ, not be secret: the system is asked for randomness once, not for each."""
    return EnvelopeIds(random.Random(secrets.randbits(256)).getrandbits)
