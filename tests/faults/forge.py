"""What a dishonest operator can do: write a ledger file that is consistent in itself, with its own key."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.tokens import Output
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.messages import bodies
from cbdc.messages.message import Message, Verified, build, decode
from cbdc.service.ledger import Identity
from cbdc.state.records import Table, Token
from cbdc.state.root import LatticeHash, element
from cbdc.state.view import EMPTY, Overlay
from cbdc.store.base import Batch, NewEntry, index_columns
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.apply import Entry, apply


@dataclass(frozen=True)
class Step:
    """An entry to write. ``signers``: who the forger pretends has signed it."""

    time_s: int
    raw: bytes
    signers: frozenset[bytes] | None = None


def write(path: Path, identity: Identity, steps: Sequence[Step]) -> None:
    """Leaves, checkpoints and state as they follow from the entries; signatures are not asked for."""
    view, tree, lattice = Overlay(EMPTY), merkle.Tree(), LatticeHash()
    store = SqliteStore.create(path)
    for index, step in enumerate(steps):
        delta = apply(view, Entry(step.time_s, _unchecked(step, identity.network)))
        view.add(delta, index, step.time_s)
        lattice.update(delta.changes.items())
        data = entries.encode(step.time_s, step.raw)
        tree.append(merkle.leaf_hash(data))
        note = checkpoint.sign(Checkpoint(identity.origin, tree.size, tree.root(), lattice.root()), identity.operator)
        store.commit(
            Batch(
                entries=[NewEntry(index, data, merkle.leaf_hash(data))],
                changes=delta.changes,
                consumed=[(thing, message_id, index) for thing, message_id in delta.consumed],
                size=tree.size,
                checkpoint=note,
                lattice_sum=lattice.to_bytes(),
                ledger_time_s=step.time_s,
            )
        )
    store.close()


def _unchecked(step: Step, network: bytes) -> Verified:
    message = decode(step.raw, network)
    parts = tuple(_as_verified(part) for part in message.parts)
    found = _as_verified(message)
    signers = found.signers if step.signers is None else step.signers
    return Verified(found.kind, found.id, found.body, signers, parts, message.certificates)


def _as_verified(message: Message) -> Verified:
    return Verified(message.kind, message.id, message.body, message.signers, (), message.certificates)


# --- rewritten messages ------------------------------------------------------------------------


def redirected(raw: bytes, network: bytes, accomplice: bytes) -> bodies.Transfer:
    """What a transfer says, but all that it pays goes to an accomplice."""
    body = decode(raw, network).body
    assert isinstance(body, bodies.Transfer)
    outputs = tuple(Output(accomplice, output.amount_tiyn, output.purpose) for output in body.outputs)
    return replace(body, outputs=outputs)


def with_old_signatures(raw: bytes, body: bodies.Transfer) -> bytes:
    """Another payload under the signatures of a genuine message."""
    signed = cose.decode(raw)
    return cose.assemble(signed.kind, cbor.encode(body.to_cbor()), list(signed.signatures))


def signed_by(key: SigningKey, raw: bytes, body: bodies.Transfer, network: bytes) -> bytes:
    """Another payload, well signed, by somebody else."""
    return build(cose.decode(raw).kind, body, [key], network)


# --- state without entries ---------------------------------------------------------------------


def conjure(path: Path, copy: Path, identity: Identity, outpoint: bytes, token: Token) -> None:
    """A copy of a ledger with one token more in its state, index columns, sum and last checkpoint all to match."""
    shutil.copy(path, copy)
    store = SqliteStore.read(copy)
    size, note = store.latest_checkpoint() or (0, "")
    lattice = LatticeHash(store.lattice_sum() or b"")
    store.close()
    key = (Table.TOKEN, outpoint)
    lattice.add(element(key, token.encode()))
    last = checkpoint.verify(note, identity.origin, identity.operator.public)
    forged = checkpoint.sign(replace(last, state_root=lattice.root()), identity.operator)
    columns = index_columns(key, token.encode())
    db = sqlite3.connect(copy, isolation_level=None)
    row = (int(Table.TOKEN), outpoint, token.encode(), columns.owner, columns.purpose, columns.due_s)
    db.execute("INSERT INTO state VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute("UPDATE meta SET value = ? WHERE name = 'lattice_sum'", (lattice.to_bytes(),))
    db.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (forged, size))
    db.close()
