"""Which command was asked for? Finds its file in this folder and turns our errors into an exit status.

Every command lives in a file of its name and is a plain function of that name whose signature typer reads, or a group
of them. Only the file of the command that runs is imported, so that `hutong --help` and small commands start fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from traceback import format_tb
from typing import Any

import typer
from rich.console import Console

from engine.errors import ConfigurationError, HutongError

COMMANDS = {
    "demo": "Play one examination through the example community, from the township to the centre and back.",
    "serve": "Run a community hub.",
    "check": "Validate configuration and mappings and run the mapping tests, without connecting.",
    "explain": "Show the walk of a message, storing nothing.",
    "map": "Begin a mapping from sample messages, or show the message that resources become.",
    "conformance": "Write the DICOM Conformance Statement of a configuration.",
    "send": "Send files to a system and print its acknowledgments.",
    "dicom": "Ask an imaging system whether it answers and what it has; fetch a study from it.",
    "trace": "Show everything known of an identifier.",
    "held": "List the messages that wait for a person, and why.",
    "release": "Let held messages run again.",
    "edit": "Correct a held message; the correction takes its place.",
    "skip": "End held messages without a record.",
    "reconcile": "Decide whose a stored study is, and undo it.",
    "replay": "Process journaled messages again, or show what a changed configuration would make of them.",
    "deliveries": "Show what is owed and refused; send it again or give it up.",
    "findings": "List what a person should settle, and settle it.",
    "studies": "List studies that are short, late or still arriving, and what is missing.",
    "status": "Show channels, endpoints, what waits and open incidents.",
    "prune": "Export old months of the journal, and drop them from the database.",
    "doctor": "Say what is wrong with this installation and how to mend it.",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Exit status 1 for an error that hutong explains, 2 for wrong usage."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _application(asked[0] if asked else "")(args=asked, prog_name="hutong")
    except HutongError as error:
        _explain(error.message)
        if isinstance(error, ConfigurationError) and "\n" in error.message:
            _explain("mend these lines, then run: hutong check DIR")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # as shells count an end by SIGINT
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain about it once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _explain(f"{place}{error.strerror or error}. `hutong doctor` looks at this machine")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last one that can say it in words
        # Places in our code only: the text of an error that nobody foresaw may quote a patient.
        _explain(f"{type(error).__name__}, which nobody foresaw. Please report these lines:")
        _explain("\n" + "".join(format_tb(error.__traceback__)).rstrip())
        sys.exit(1)


def _explain(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"hutong: {text}")


def _application(asked: str) -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_show_locals=False,  # a local variable may hold a patient's data
        help="hutong 互通: examined below, diagnosed above, recognised everywhere.",
    )
    for name, summary in COMMANDS.items():
        found = _function(name) if name == asked else _listed
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, short_help=summary)
        else:
            app.command(name, short_help=summary)(found)
    return app


def _function(name: str) -> Callable[..., Any] | typer.Typer:
    """The command's function, or its group of commands."""
    function: Callable[..., Any] | typer.Typer = getattr(import_module(f"engine.cli.{name}"), name)
    return function


def _listed() -> None:
    """Stands for a command in the list of commands while another one runs."""


if __name__ == "__main__":
    main()
