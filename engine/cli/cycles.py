"""When does a process that runs for months look for cycles in its memory?"""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Call it when everything that stays is loaded: that is left out of every later look, and looks are seldom.

    A batch, or the answer to a search, makes tens of thousands of objects, none of them in a cycle, and drops them
    together. Looking through them took a quarter of the pipeline's time, and a whole look through the modules and
    mappings of the hub stopped the web for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
