"""The objects on the disk: one row each, in an SQLite file that its owner alone may read.

Mechanism. Each write is one transaction in WAL mode, so that a SIGKILL costs nothing that was acknowledged; `sync`, called
every second, bounds what a power cut costs. Each transaction also writes the version that it makes: an object's last
version may have gone with it. A checkpoint waits for the disk; it has a connection of its own, so that nobody else waits.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.embedded.resources import Resource
from labkit.embedded.status import ApiError
from labkit.embedded.store.objects import Key
from labkit.errors import LabError

SCHEMA_VERSION = 1
UPGRADES: list[list[str]] = [
    [  # 0 -> 1
        "CREATE TABLE object(resource TEXT, namespace TEXT, name TEXT, version INTEGER, body BLOB,"
        " PRIMARY KEY(resource, namespace, name)) WITHOUT ROWID",
        "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT)",
    ],
]
SETTINGS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "wal_autocheckpoint=20000")


class Database:
    """The file at `path`, or one in memory. `sqlite3.Error`, OSError and ValueError where it is none that can be used."""

    def __init__(self, path: Path | None) -> None:
        _keep_private(path)
        self.connection = _connect(path)
        _prepare(self.connection)
        self.disk = _connect(path)
        self._syncing = threading.Lock()
        self._dirty = self.closed = False

    def version(self) -> int:
        """The last version that was written, 1 where there is none."""
        row = self.connection.execute("SELECT value FROM meta WHERE name='version'").fetchone()
        return int(row[0]) if row else 1

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """(the resource's qualified name, the object as JSON) of all, the oldest version first."""
        for resource, body in self.connection.execute("SELECT resource, body FROM object ORDER BY version"):
            yield resource, bytes(body)

    def put(self, resource: Resource, key: Key, version: int, raw: bytes) -> None:
        statement = "INSERT OR REPLACE INTO object(resource, namespace, name, version, body) VALUES(?, ?, ?, ?, ?)"
        self.commit(statement, (resource.qualified, *key, version, raw), version)

    def remove(self, resource: Resource, key: Key, version: int) -> None:
        statement = "DELETE FROM object WHERE resource=? AND namespace=? AND name=?"
        self.commit(statement, (resource.qualified, *key), version)

    def commit(self, statement: str, values: tuple[Any, ...], version: int) -> None:
        """One write, and the version that it makes. ApiError 507 where the disk does not take it."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.execute(statement, values)
            self.connection.execute("INSERT OR REPLACE INTO meta(name, value) VALUES('version', ?)", (str(version),))
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            message = f"the cluster's database can't be written ({error}): is the disk full or read-only?"
            raise ApiError(507, "InsufficientStorage", message) from error
        self._dirty = True

    def sync(self) -> None:
        """Bring what was written to the disk itself; cheap when nothing was. Safe from another thread. sqlite3.Error where
        the disk is full: what was written is safe from a kill all the same."""
        with self._syncing:
            if self._dirty and not self.closed:
                self._dirty = False
                try:
                    self.disk.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error:
                    self._dirty = True
                    raise

    def close(self) -> None:
        with self._syncing:
            self.closed = True
            self.disk.close()
            self.connection.close()


def _connect(path: Path | None) -> sqlite3.Connection:
    return sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)


def _prepare(connection: sqlite3.Connection) -> None:
    """Set it up, and bring an older schema up to date."""
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise LabError(
            f"the cluster's database has schema {found}, this labkit knows {SCHEMA_VERSION} at most",
            "use the labkit that made it, or delete the cluster's state: labkit down --purge",
        )
    for step in range(found, SCHEMA_VERSION):
        for statement in UPGRADES[step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={step + 1}")


def _keep_private(path: Path | None) -> None:
    """Make the file, if need be, so that its owner alone may read it: there are Secrets in it. SQLite gives the files
    beside it the same mode."""
    if path:
        for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if part.exists():
                part.chmod(0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def unusable(path: Path | None, error: Exception) -> LabError:
    """Why a database can't be opened, and what helps."""
    if isinstance(error, sqlite3.OperationalError | OSError):  # of the system around it, not of the file
        hint = f"is the disk full, or {path} not yours to write?"
        return LabError(f"the cluster's database {path} can't be opened: {error}", hint)
    hint = "put a copy of it back, or begin anew: labkit down --purge deletes the cluster's state"
    return LabError(f"the cluster's database {path} is damaged: {error}", hint)
