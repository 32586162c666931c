"""Which settings does the embedded server run with?

They are given on its command line, which outranks every file in the data folder: a promise does not depend on what
somebody once wrote into postgresql.conf. Anything not named here may be set there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FIXED = {
    # Promise 1: what has been acknowledged is on the disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A local user must not read the database: a unix socket only, and pg_hba.conf below.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Promise 8: an error's DETAIL and statement hold values of patients. LOG ranks above ERROR in the server's log.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # In the data folder, where the next start clears it even after SIGKILL; /dev/shm of a container is small.
    "dynamic_shared_memory_type": "mmap",
}
"""What hutong relies on."""

TUNED = {
    "timezone": "UTC",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    # Short statements by the thousand: planning in parallel or compiling costs more than it saves.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
"""What suits one small machine."""

PORT = 5432
"""Only the last part of the socket's name."""


def arguments(data: Path, sockets: Path, extra: Mapping[str, str]) -> list[str]:
    """The command line for a data folder; `extra` replaces what is tuned, never what is fixed."""
    places = {
        "hba_file": str(data / "pg_hba.conf"),
        "ident_file": str(data / "pg_ident.conf"),
        "unix_socket_directories": str(sockets),
        "port": str(PORT),
    }
    chosen = {**TUNED, **extra, **FIXED, **places}
    return [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]


def access_files(owner: str, *, application: str, administrator: str) -> dict[str, str]:
    """Who may connect: the operating-system user that started the server, known by the kernel, and nobody else."""
    return {
        "pg_hba.conf": "# Written by hutong at every start.\nlocal all all peer map=hutong\n",
        "pg_ident.conf": "# Written by hutong at every start.\n"
        + "".join(f'hutong "{owner}" {role}\n' for role in (application, administrator)),
    }
