"""Where does PostgreSQL come from when nobody names one? From the wheel, started and stopped by this package.

    with EmbeddedPostgres(data / "postgres") as url:
        ...

It never outlives its owner, whichever way the owner ends; and it answers on a unix socket only, to the
operating-system user that started it.
"""

from __future__ import annotations

from engine.store.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
