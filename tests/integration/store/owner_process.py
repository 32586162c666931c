"""A program that owns an embedded server and ends in the way it is told to: run by the tests, never imported."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from engine.errors import HutongError
from engine.store.embedded import EmbeddedPostgres


def say(what: dict[str, str | int]) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main() -> None:
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # whoever runs the tests in the background has them ignored
    server = EmbeddedPostgres(Path(sys.argv[1]))
    try:
        server.start()
    except HutongError as error:
        say({"error": error.code, "message": error.message})
        return
    say({"pid": server.pid, "url": server.url, "user": os.geteuid()})
    match sys.stdin.readline().strip():
        case "stop":
            server.stop()
        case "exit":
            sys.exit(0)
        case "fork":
            child = os.fork()
            if child == 0:
                sys.exit(0)
            _, status = os.waitpid(child, 0)
            say({"fork_ended_with": os.waitstatus_to_exitcode(status), "alive": server.alive})
        case "leave at once":
            os._exit(1)
        case "fail":
            raise RuntimeError("as told")


main()
