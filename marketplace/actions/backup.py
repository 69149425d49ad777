"""Copying what the network is, at one moment, and putting it back: database, files, keys.

Redis is not among it: it holds nothing that the database has not.
"""

import os
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

FILES = "files.tar"
DUMPS = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
KEPT = ("files", "log_key", "secret_key", "sandbox.json", "admin-password-hash")  # of COMPUTENET_HOME
PROGRAM_SECONDS = 6 * 3600


class Failed(Exception):
    """The copy cannot be made, or put back. One sentence; what was there is as it was."""


def make(folder: Path) -> list[Path]:
    """Copy the network into `folder`, which must be new or empty. It may run meanwhile.

    The database comes first and the files after it: files are never changed, and one that came in between is one too
    many rather than one too few.

    Raises:
        Failed
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Failed(f"{folder} is not empty; name a new folder for each backup.")
    folder.chmod(0o700)
    dump, files = folder / DUMPS[connection.vendor], folder / FILES
    unfinished = folder / "unfinished"
    unfinished.touch(mode=0o600)
    if connection.vendor == "sqlite":
        _copy_sqlite(dump)
    else:
        _run("pg_dump", "--format=custom", "--no-owner", f"--file={dump}")
    dump.chmod(0o600)
    with tarfile.open(files, "x") as archive:
        files.chmod(0o600)
        for name in KEPT:
            if (settings.COMPUTENET_HOME / name).exists():
                archive.add(settings.COMPUTENET_HOME / name, name, filter=_wanted)
    unfinished.unlink()
    return [dump, files]


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.startswith("files/incoming/") else member  # what was on its way in


def _copy_sqlite(target: Path) -> None:
    """SQLite's online backup: a copy as of one moment, while others write."""
    connection.ensure_connection()
    copy = sqlite3.connect(target)
    try:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file
    finally:
        copy.close()


def restore(folder: Path) -> None:
    """Put a backup back, into an empty database and a home without files.

    Raises:
        Failed: the backup is none, or something is there that it would overwrite.
    """
    dump, files = folder / DUMPS[connection.vendor], folder / FILES
    if (folder / "unfinished").exists() or not dump.is_file() or not files.is_file():
        raise Failed(f"{folder} holds no finished backup of a {connection.vendor} database.")
    home = settings.COMPUTENET_HOME
    home.mkdir(mode=0o700, parents=True, exist_ok=True)  # SQLite's file may lie in it
    if "marketplace_account" in connection.introspection.table_names():
        raise Failed("The database is not empty; name a new one in DATABASE_URL, and keep the old one until it works.")
    there = next((home / name for name in ("files", "log_key") if (home / name).exists()), None)
    if there is not None:
        raise Failed(f"{there} is there already; name a new folder in COMPUTENET_HOME.")
    if connection.vendor == "sqlite":
        _restore_sqlite(dump)
    else:
        how = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        _run("pg_restore", *how, f"--dbname={settings.DATABASES['default']['NAME']}", str(dump))
    with tarfile.open(files) as archive:
        archive.extractall(home, filter="data")


def _restore_sqlite(dump: Path) -> None:
    target = Path(str(settings.DATABASES["default"]["NAME"]))
    connection.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)  # empty: it was looked at above
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(dump, target)
    target.chmod(0o600)


def _run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's programs; the password goes by its environment, where no list of processes shows it.

    Raises:
        Failed: it is not there, or says no.
    """
    path = shutil.which(program)
    if path is None:
        raise Failed(f"There is no {program} on the PATH; install PostgreSQL's own, of the server's version.")
    given: dict[str, Any] = dict(settings.DATABASES["default"])
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    environment = {**os.environ, **{name: str(given[key]) for name, key in names.items() if given.get(key)}}
    done = subprocess.run([path, *arguments], env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    if done.returncode != 0:
        raise Failed(f"{program} failed: {' '.join(done.stderr.split())[-500:]}")
