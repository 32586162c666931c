"""Which operating-system account runs the server? Ourselves, unless we are root: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigurationError

CANDIDATES = ("hutong", "postgres", "nobody")
"""Accounts tried in this order when root starts a new database. The first two belong to nothing else; `nobody` is
what every Linux has, and good enough for a trial: `useradd --system hutong` before the first start is better."""


@dataclass(frozen=True, slots=True)
class Account:
    """An entry of the password database. initdb insists that the account has a name."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def take(self, folder: Path) -> None:
        """Makes the account the owner of a folder that we have just made."""
        if not self.is_ours:
            os.chown(folder, self.uid, self.gid)

    def can(self, wish: str, path: Path) -> bool:
        """Whether the account itself gets at `path`; wish is `r` or `x`.

        Asked by trying, because folders above it, access lists and mount options all have a say.
        """
        if self.is_ours:
            return os.access(path, os.R_OK if wish == "r" else os.X_OK)
        test = shutil.which("test", path="/usr/bin:/bin") or "/usr/bin/test"
        done = subprocess.run(
            [test, f"-{wish}", str(path)], user=self.uid, group=self.gid, extra_groups=[], cwd="/", check=False
        )
        return done.returncode == 0


def ourselves() -> Account:
    """The account this process runs as."""
    return _by_uid(os.geteuid())


def for_cluster(cluster: Path) -> Account:
    """The account that runs the server of this data folder, whether it exists yet or not."""
    us = ourselves()
    owner = cluster.stat().st_uid if cluster.exists() else None
    if us.uid != 0:
        if owner is not None and owner != us.uid:
            raise ConfigurationError(
                f"the database folder belongs to user {_name(owner)}, but hutong runs as {us.name}: "
                f"start hutong as {_name(owner)} or as root, or give the folder to {us.name}",
                location=str(cluster),
                code="postgres-folder-owner",
            )
        return us
    if owner is not None:
        if owner == 0:
            raise ConfigurationError(
                "the database folder belongs to root, and PostgreSQL does not run as root: "
                f"give it back to its account, for example: chown -R {_first_candidate().name} {cluster}",
                location=str(cluster),
                code="postgres-folder-owner",
            )
        return _by_uid(owner)
    return _first_candidate()


def _first_candidate() -> Account:
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no account to run it under: useradd --system hutong",
        code="postgres-no-account",
    )


def _by_uid(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError(
            f"user id {uid} has no name in the password database, and PostgreSQL needs one: "
            "add the user, or name a database in HUTONG_DATABASE_URL",
            code="postgres-no-account",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
