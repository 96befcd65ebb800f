"""The objects on disk: one row each, in an SQLite file that only its owner can read.

Mechanism. Each write is one transaction in WAL mode, so that a SIGKILL loses no acknowledged write; `sync`, called
every second, bounds what a power failure loses. Each transaction also stores the new version: a deletion removes the
row that had the latest one. A checkpoint waits for the disk; it has a connection of its own, so that nothing else
waits.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubeproc import embedder
from kubeproc.api_errors import ApiError
from kubeproc.errors import HintedError
from kubeproc.resources import Resource
from kubeproc.store.serialized import Key

SCHEMA_VERSION = 1
UPGRADES: list[list[str]] = [
    [  # 0 -> 1; an older version created the tables one by one, so a kill could leave only one
        "CREATE TABLE IF NOT EXISTS object(resource TEXT, namespace TEXT, name TEXT, version INTEGER, body BLOB,"
        " PRIMARY KEY(resource, namespace, name)) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT)",
    ],
]
SETTINGS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "wal_autocheckpoint=20000")


class Database:
    """The file at `path`, or one in memory. Raises `sqlite3.Error`, OSError or ValueError if the file is unusable."""

    def __init__(self, path: Path | None) -> None:
        _keep_private(path)
        self.connection = _connect(path)
        _prepare(self.connection)
        self.disk = _connect(path)
        self._syncing = threading.Lock()
        self._dirty = self.closed = False

    def version(self) -> int:
        """The last version that was written; 1 for an empty database."""
        row = self.connection.execute("SELECT value FROM meta WHERE name='version'").fetchone()
        return int(row[0]) if row else 1

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """All objects as (the resource's qualified name, JSON), the oldest version first."""
        for resource, body in self.connection.execute("SELECT resource, body FROM object ORDER BY version"):
            yield resource, bytes(body)

    def put(self, resource: Resource, key: Key, version: int, raw: bytes) -> None:
        statement = "INSERT OR REPLACE INTO object(resource, namespace, name, version, body) VALUES(?, ?, ?, ?, ?)"
        self.commit(statement, (resource.qualified, *key, version, raw), version)

    def remove(self, resource: Resource, key: Key, version: int) -> None:
        statement = "DELETE FROM object WHERE resource=? AND namespace=? AND name=?"
        self.commit(statement, (resource.qualified, *key), version)

    def commit(self, statement: str, values: tuple[Any, ...], version: int) -> None:
        """Commit one write with its new version. ApiError 507 if the disk fails."""
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
        """Flush what was written to disk; cheap if there is nothing to flush. Safe from another thread. sqlite3.Error
        if the disk is full: what was written still survives a kill."""
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
    """Set up the connection, and upgrade an older schema."""
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")  # all steps or none: a kill between two statements changes nothing
    try:
        _upgrade(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.close()
        raise


def _upgrade(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise HintedError(
            f"the cluster's database has schema {found}, this version knows {SCHEMA_VERSION} at most",
            f"use the version that created it, or delete the cluster's state: {embedder.current().purge}",
        )
    for step in range(found, SCHEMA_VERSION):
        for statement in UPGRADES[step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={step + 1}")


def _keep_private(path: Path | None) -> None:
    """Create the file if needed, readable by its owner only: it contains Secrets. SQLite creates its other files with
    the same mode."""
    if path:
        for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if part.exists():
                part.chmod(0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def unusable(path: Path | None, error: Exception) -> HintedError:
    """The error for a database that can't be opened, with a hint."""
    if isinstance(error, sqlite3.OperationalError | OSError):  # a problem of the system, not of the file
        hint = f"is the disk full, or is {path} not writable?"
        return HintedError(f"the cluster's database {path} can't be opened: {error}", hint)
    hint = f"restore a backup, or start over: {embedder.current().purge} deletes the cluster's state"
    return HintedError(f"the cluster's database {path} is damaged: {error}", hint)
