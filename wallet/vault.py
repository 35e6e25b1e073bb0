"""A small encrypted store: what a wallet or a secure element keeps on its disk.

The password gives a key by Argon2id (RFC 9106); that key opens a random data key, which seals every record with
ChaCha20-Poly1305 (RFC 8439). Names are hidden too: a row is found by an HMAC of its name. A changed, swapped or
moved row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import sqlite_utils
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from filelock import FileLock, Timeout

from cbdc.errors import FileTrouble, FormError, LedgerBusy, TengeError, WalletCorrupt, WrongPassword
from cbdc.formats import cbor

_SYSTEM_REFUSES: Final = (
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
)
"""SQLite's codes for a file that cannot be used, whatever is in it: a read-only directory, a full disk."""

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class KdfCost:
    """Argon2id parameters. The default is RFC 9106's second recommended option: 64 MiB, 3 passes, 4 lanes."""

    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 65_536

    def fields(self) -> list[int]:
        """As they stand in a vault's header."""
        return [self.iterations, self.lanes, self.memory_kib]


QUICK_KDF: Final = KdfCost(iterations=1, lanes=1, memory_kib=64)
"""For scenarios and tests, whose passwords protect nothing."""


class Gate(Protocol):
    """What stands before the password, inside the locked file: an element counts the tries of its PIN there."""

    def before(self, db: sqlite3.Connection) -> None:
        """Called before the password is tried. Raises what refuses the try."""

    def opened(self, db: sqlite3.Connection) -> None:
        """Called after the password was right, and when a vault was made."""


class Vault:
    """Records in named spaces, encrypted at rest, one process at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock, data_key: bytes) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self._cipher = ChaCha20Poly1305(data_key)
        self._name_key = hmac.digest(data_key, b"names", hashlib.sha256)

    # --- opening -------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: Path,
        password: str,
        *,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,
        gate: Gate | None = None,
    ) -> Vault:
        """Make a new vault.

        Raises:
            LedgerBusy: there is a file already.
        """
        if path.exists():
            raise LedgerBusy("there is a wallet already", path=path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock, connection = _locked(path)
        cost = cost or KdfCost()
        salt, data_key, nonce = random(16), random(_KEY_BYTES), random(_NONCE_BYTES)
        header = _wrap(data_key, password, cost, salt, nonce)
        db = sqlite_utils.Database(connection)
        db.table("header").create({"id": int, "value": bytes}, pk="id")
        db.table("sealed").create({"name": bytes, "space": bytes, "box": bytes}, pk="name")
        db.table("sealed").create_index(["space"])
        connection.execute("INSERT INTO header VALUES (0, ?)", (header,))
        if gate is not None:
            gate.opened(connection)
        path.chmod(0o600)
        return cls(path, connection, lock, data_key)

    @classmethod
    def open(cls, path: Path, password: str, *, gate: Gate | None = None) -> Vault:
        """Open a vault.

        Raises:
            WrongPassword: the password does not open it. WalletCorrupt: not a vault. LedgerBusy: open elsewhere.
            FileTrouble: there is none, or the system refuses it.
        """
        if not path.exists():
            raise FileTrouble("there is no wallet here", path=path, reason="no such file")
        lock, connection = _locked(path)
        try:
            if gate is not None:
                gate.before(connection)
            data_key, _ = _unwrap(path, connection, password)
            if gate is not None:
                gate.opened(connection)
        except BaseException:
            connection.close()
            lock.release()
            raise
        return cls(path, connection, lock, data_key)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._lock.release()

    def change_password(self, old: str, new: str, *, gate: Gate | None = None) -> None:
        """Let the new password open the vault and the old one no longer, by one commit: no power cut falls between.

        The records stay sealed under their data key, of which the file keeps no copy under the old password; a copy of
        the file from before still opens with that.

        Raises:
            WrongPassword: the old password is another. What ``gate`` raises before it is tried.
        """
        if gate is not None:
            gate.before(self._db)
        data_key, cost = _unwrap(self.path, self._db, old)
        header = _wrap(data_key, new, cost, os.urandom(16), os.urandom(_NONCE_BYTES))
        self._db.execute("PRAGMA secure_delete=ON")
        with self.together():
            self._db.execute("INSERT OR REPLACE INTO header VALUES (0, ?)", (header,))
            if gate is not None:
                gate.opened(self._db)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, path: Path) -> None:
        """A whole copy of the encrypted file, as a backup of the device's storage would be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        target = sqlite3.connect(path)
        try:
            self._db.backup(target)
        finally:
            target.close()

    # --- records -------------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything put or dropped inside becomes durable at once, or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def put(self, space: str, name: bytes, value: cbor.Value) -> None:
        """Keep a CBOR value under a name, replacing what was there."""
        blind, nonce = self._blind(space, name), os.urandom(_NONCE_BYTES)
        box = nonce + self._cipher.encrypt(nonce, cbor.encode([space, name, value]), blind)
        self._db.execute("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)", (blind, self._blind(space, b""), box))

    def get(self, space: str, name: bytes) -> cbor.Value:
        """The value under a name, or None.

        Raises:
            WalletCorrupt: the record was changed on disk.
        """
        blind = self._blind(space, name)
        row = self._db.execute("SELECT box FROM sealed WHERE name = ?", (blind,)).fetchone()
        return None if row is None else self._open(blind, row[0])[2]

    def drop(self, space: str, name: bytes) -> None:
        """Forget a name."""
        self._db.execute("DELETE FROM sealed WHERE name = ?", (self._blind(space, name),))

    def items(self, space: str) -> list[tuple[bytes, cbor.Value]]:
        """Every (name, value) of a space, sorted by name.

        Raises:
            WalletCorrupt: a record was changed on disk.
        """
        rows = self._db.execute("SELECT name, box FROM sealed WHERE space = ?", (self._blind(space, b""),))
        opened = [self._open(blind, box) for blind, box in rows]
        if any(found != space for found, _, _ in opened):
            raise WalletCorrupt("a record was moved on disk", path=self.path)
        return sorted(((name, value) for _, name, value in opened), key=lambda item: item[0])

    def _open(self, blind: bytes, box: bytes) -> Any:
        try:
            return cbor.decode(self._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], blind))
        except InvalidTag:
            raise WalletCorrupt("a record was changed on disk", path=self.path) from None

    def _blind(self, space: str, name: bytes) -> bytes:
        return hmac.digest(self._name_key, space.encode() + b"\0" + name, hashlib.sha256)[:16]

    def __repr__(self) -> str:
        return f"Vault({self.path})"


def _wrap(data_key: bytes, password: str, cost: KdfCost, salt: bytes, nonce: bytes) -> bytes:
    """The header: the data key under a password, with all that opening it takes but that."""
    wrapped = nonce + ChaCha20Poly1305(_stretch(password, salt, cost)).encrypt(nonce, data_key, b"data key")
    return cbor.encode([*cost.fields(), salt, wrapped])


def _unwrap(path: Path, connection: sqlite3.Connection, password: str) -> tuple[bytes, KdfCost]:
    """The data key, and what stretching the password cost. Raises WalletCorrupt, WrongPassword."""
    try:
        row = connection.execute("SELECT value FROM header WHERE id = 0").fetchone()
        iterations, lanes, memory_kib, salt, wrapped = cbor.decode(row[0])
        cost = KdfCost(iterations, lanes, memory_kib)
        key = _stretch(password, salt, cost)
    except (sqlite3.DatabaseError, TypeError, ValueError, FormError) as error:
        raise _trouble(path, error) from None
    try:
        return ChaCha20Poly1305(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], b"data key"), cost
    except InvalidTag:
        raise WrongPassword("the password does not open this wallet") from None


def _stretch(password: str, salt: bytes, cost: KdfCost) -> bytes:
    kdf = Argon2id(
        salt=salt, length=_KEY_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    )
    return kdf.derive(password.encode())


def _locked(path: Path) -> tuple[FileLock, sqlite3.Connection]:
    lock = FileLock(f"{path.resolve()}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LedgerBusy("this wallet is open in another program", path=path) from None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.DatabaseError as error:
        lock.release()
        raise _trouble(path, error) from None
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError as error:
        connection.close()
        lock.release()
        raise _trouble(path, error) from None
    return lock, connection


def _trouble(path: Path, error: Exception) -> TengeError:
    """Why a file does not open: the system refuses it and it may be sound, or it is no vault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SYSTEM_REFUSES:
        return FileTrouble("the wallet's file cannot be used", path=path, reason=str(error))
    return WalletCorrupt("this is not a wallet file", path=path, reason=type(error).__name__)
