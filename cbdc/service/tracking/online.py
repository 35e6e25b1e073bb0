"""What each kind of message does to the purpose's money online, escrow included."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import Grant, Recall, Refund, Transfer
from cbdc.purposes.rules import Mark
from cbdc.service.tracking.lookup import Party, Waited
from cbdc.service.tracking.records import Fate, Moved, Place
from cbdc.service.tracking.trail import At, Piece, Trail
from cbdc.transition.waiting import RETURNED_FROM, SETTLED_FROM


@dataclass(frozen=True, slots=True)
class Escrow:
    """A payment that waits: whose it is, and for each of its pieces in escrow the output's index, and the payee's key
    and mark once it goes through."""

    payment: bytes
    payer: Party
    signer: bytes
    lines: tuple[Line, ...]
    held: tuple[tuple[int, Piece, bytes, Mark | None], ...]
    waited: Waited


def grant(trail: Trail, at: At, body: Grant) -> None:
    """New marked money out of the sponsor's own."""
    sponsor = trail.lookup.party(trail.definition.sponsor)
    mark = Mark(trail.purpose, trail.definition.mark.first_left)
    for index, output in _of_purpose(trail, body.outputs):
        owner = trail.lookup.party(output.owner)
        name = outpoint(at.message, index)
        made = trail.piece(at, name, output.owner, owner.account, output.amount_tiyn, mark, Place.ONLINE)
        trail.step(Moved.GRANT, at, sponsor.account, [], [made], drawn_tiyn=output.amount_tiyn)
        trail.move(Moved.GRANT, at, sponsor, owner, output.amount_tiyn, Place.ONLINE)


def _of_purpose(trail: Trail, outputs: tuple[Output, ...]) -> list[tuple[int, Output]]:
    """The outputs that draw from the purpose, with their indexes; the others are not the sponsor's to see."""
    return [(index, output) for index, output in enumerate(outputs) if output.purpose == trail.purpose]


# --- payments ----------------------------------------------------------------------------------


def transfer(trail: Trail, at: At, body: Transfer, signers: frozenset[bytes]) -> Escrow | None:
    """A payment with online tokens; what it holds in escrow if it waits."""
    spent = trail.live_among(body.inputs)
    if not spent:
        return None
    if trail.is_freed(spent):
        free(trail, spent)
        return None
    mark = trail.mark_of(spent)
    signer = spent[0].owner
    payer = trail.lookup.party(signer)
    outputs = _of_purpose(trail, body.outputs)
    change = [(index, output) for index, output in outputs if output.owner == signer]
    paid = [(index, output) for index, output in outputs if output.owner != signer]
    kept = [
        trail.piece(at, outpoint(at.message, index), signer, payer.account, output.amount_tiyn, mark, Place.ONLINE)
        for index, output in change
    ]
    waited = trail.lookup.waited(at.message, paid[0][0]) if paid else None
    if waited is not None:
        return _hold(trail, at, body, spent, kept, paid, waited)
    got = []
    for index, output in paid:
        payee = trail.lookup.party(output.owner)
        after = trail.mark_after(mark, payee)
        name = outpoint(at.message, index)
        piece = trail.piece(at, name, output.owner, payee.account, output.amount_tiyn, after, Place.ONLINE)
        got.append((payee, piece))
    trail.step(Moved.PAYMENT, at, payer.account, spent, [*kept, *(piece for _, piece in got)])
    trail.pay(at, payer, got, body.lines, signers)
    return None


def _hold(
    trail: Trail,
    at: At,
    body: Transfer,
    spent: list[Piece],
    kept: list[Piece],
    paid: list[tuple[int, Output]],
    waited: Waited,
) -> Escrow:
    """A payment that waits: its value is the payer's still, in tokens that belong to the payment's own id."""
    mark, signer = trail.mark_of(spent), spent[0].owner
    payer = trail.lookup.party(signer)
    held = []
    for index, output in paid:
        payee = trail.lookup.party(output.owner)
        name = outpoint(at.message, index)
        piece = trail.piece(at, name, at.message, payer.account, output.amount_tiyn, mark, Place.WAITING)
        held.append((index, piece, output.owner, trail.mark_after(mark, payee)))
        trail.move(Moved.WAITS, at, payer, payee, output.amount_tiyn, Place.WAITING)
    trail.step(Moved.WAITS, at, payer.account, spent, [*kept, *(piece for _, piece, *_ in held)])
    return Escrow(at.message, payer, signer, body.lines, tuple(held), waited)


def end_waiting(trail: Trail, at: At, escrow: Escrow) -> None:
    """A payment that waited goes through, or lapses; ``at`` names it and the entry that ended it."""
    held = [piece for _, piece, *_ in escrow.held]
    if escrow.waited.lapsed:
        back = [
            trail.piece(at, outpoint(escrow.payment, RETURNED_FROM + index), escrow.signer, *_as(piece), Place.ONLINE)
            for index, piece, *_ in escrow.held
        ]
        trail.step(Moved.LAPSED, at, escrow.payer.account, held, back)
        total_tiyn = sum(piece.amount_tiyn for piece in held)
        trail.move(Moved.LAPSED, at, escrow.payer, escrow.payer, total_tiyn, Place.ONLINE)
        return
    got = []
    for index, piece, owner, mark in escrow.held:
        payee = trail.lookup.party(owner)
        name = outpoint(escrow.payment, SETTLED_FROM + index)
        got.append((payee, trail.piece(at, name, owner, payee.account, piece.amount_tiyn, mark, Place.ONLINE)))
    trail.step(Moved.PAYMENT, at, escrow.payer.account, held, [piece for _, piece in got])
    trail.pay(at, escrow.payer, got, escrow.lines)


def _as(piece: Piece) -> tuple[str, int, Mark]:
    """Holder, amount and mark of a piece that bears one."""
    return piece.holder, piece.amount_tiyn, Mark(piece.purpose or b"", piece.left)


def free(trail: Trail, pieces: list[Piece]) -> None:
    """Evidence had lifted the mark from these: the trail ends where and when it did, whatever is done with them now."""
    for piece in pieces:
        at, holder = trail.freed_at(piece), Party(piece.holder)
        trail.step(Moved.FREED, at, piece.holder, [piece], [], gone=((Fate.SPENT, piece.amount_tiyn),))
        trail.move(Moved.FREED, at, holder, holder, piece.amount_tiyn, Place.FREE)


# --- back --------------------------------------------------------------------------------------


def refund(trail: Trail, at: At, body: Refund, signers: frozenset[bytes]) -> None:
    """A merchant gives back under the mark, out of free money or of the purpose's; his change stays as it was."""
    if body.purpose != trail.purpose:
        return
    spent = trail.live_among(body.inputs)
    own = trail.mark_of(spent) if spent else None
    returned = Mark(trail.purpose, trail.definition.mark.back(own.left if own else None))
    merchant = trail.lookup.party(body.payee)
    made, back_tiyn, customer = [], 0, merchant
    for index, output in _of_purpose(trail, body.outputs):
        owner = trail.lookup.party(output.owner)
        mark = own if output.owner in signers else returned
        name = outpoint(at.message, index)
        made.append(trail.piece(at, name, output.owner, owner.account, output.amount_tiyn, mark, Place.ONLINE))
        if output.owner not in signers:
            customer, back_tiyn = owner, back_tiyn + output.amount_tiyn
    drawn_tiyn = sum(piece.amount_tiyn for piece in made) - sum(piece.amount_tiyn for piece in spent)
    source = trail.brought.get((body.payment, body.payee))
    after = source.names if source else ()
    trail.step(Moved.REFUND, at, merchant.account, spent, made, after=after, drawn_tiyn=drawn_tiyn)
    items = trail.items_of(body.payment, body.payee, back_tiyn)
    trail.move(Moved.REFUND, at, merchant, customer, back_tiyn, Place.ONLINE, merchant=merchant, items=items)


def recall(trail: Trail, at: At, body: Recall) -> None:
    """Sponsor and governor take tokens back; they are free then, and the purpose's no more."""
    if body.purpose != trail.purpose:
        return
    for piece in trail.live_among(body.outpoints):
        give_up(trail, at, Moved.RECALLED, piece)


def give_up(trail: Trail, at: At, kind: Moved, piece: Piece) -> None:
    """A token goes, free, to where the definition says."""
    to = trail.lookup.party(trail.definition.return_to)
    trail.step(kind, at, piece.holder, [piece], [], gone=((Fate.RETURNED, piece.amount_tiyn),))
    trail.move(kind, at, Party(piece.holder), to, piece.amount_tiyn, Place.FREE)
