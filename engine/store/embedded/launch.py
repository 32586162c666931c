"""How does a server start so that it cannot outlive its owner? A script that becomes the server: it changes
account, asks the kernel for a signal when the owner ends, and executes the program.

It runs as `python -I -S launch.py REQUEST` in a process of its own, because between fork and exec a threaded
owner may run nothing of its own. REQUEST is a JSON object:

    owner         process id of the owner; if the parent is another by now, the owner has gone already
    death_signal  the signal to receive when the thread that started us ends
    uid, gid      the account to become; null: stay who we are
    folder        working folder, entered before the account changes: folders above it may be closed to it
    files         name → content, written into the folder before the program starts
    program       path and arguments
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1


def main(request: str) -> None:
    wanted = json.loads(request)
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(wanted["folder"])
    if wanted["uid"] is not None:
        os.setgroups([])
        os.setgid(wanted["gid"])
        os.setuid(wanted["uid"])
    # After setuid, which would clear it; and before asking who the parent is, or its end could fall between.
    if libc.prctl(PR_SET_PDEATHSIG, wanted["death_signal"], 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != wanted["owner"]:
        sys.exit("the owner has gone")
    os.umask(0o077)
    for name, content in wanted["files"].items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(content)
    os.execv(wanted["program"][0], wanted["program"])


if __name__ == "__main__":
    main(sys.argv[1])
