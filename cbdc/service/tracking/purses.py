"""What each kind of message does to the purpose's money in purses, and between them and the ledger."""

from __future__ import annotations

from cbdc.errors import LedgerCorrupt
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import Load, OfflineTerms, Sweep, Transfer, Unload
from cbdc.offline.judge import is_release
from cbdc.purposes.rules import Mark
from cbdc.service.tracking.lookup import Party
from cbdc.service.tracking.online import free, give_up
from cbdc.service.tracking.records import Fate, Moved, Place
from cbdc.service.tracking.trail import At, Piece, Trail
from cbdc.state.records import OfflineToken


def load_or_unload(trail: Trail, at: At, body: Load | Unload) -> None:
    """An owner's own money goes into a purse, comes out of it, or stays in it under fresh deadlines."""
    spent = trail.live_among(body.inputs)
    if not spent:
        return
    if trail.is_freed(spent):
        free(trail, spent)
        return
    mark, owner = trail.mark_of(spent), Party(spent[0].holder)
    made = []
    for index, output in enumerate(body.outputs):
        if output.purpose != trail.purpose:
            continue
        name = outpoint(at.message, index)
        place = Place.ONLINE if trail.lookup.offline(name) is None else Place.OFFLINE
        made.append(trail.piece(at, name, output.owner, owner.account, output.amount_tiyn, mark, place))
    in_purse_tiyn = sum(piece.amount_tiyn for piece in made if piece.place is Place.OFFLINE)
    online_tiyn = sum(piece.amount_tiyn for piece in made if piece.place is Place.ONLINE)
    if isinstance(body, Load):
        kind, moved_tiyn, place = Moved.LOAD, in_purse_tiyn, Place.OFFLINE
    elif online_tiyn:
        kind, moved_tiyn, place = Moved.UNLOAD, online_tiyn, Place.ONLINE
    else:
        kind, moved_tiyn, place = Moved.RENEWAL, in_purse_tiyn, Place.OFFLINE
    trail.step(kind, at, owner.account, spent, made)
    trail.move(kind, at, owner, owner, moved_tiyn, place)


# --- between purses ----------------------------------------------------------------------------


def payment(trail: Trail, at: At, body: Transfer, terms: OfflineTerms) -> None:
    """A payment between two purses, if it was in this entry that it counted.

    Which marks its tokens bear stands in the state for ever, so nothing is judged again here.
    """
    outputs = [(index, output) for index, output in enumerate(body.outputs) if output.purpose == trail.purpose]
    if not outputs or not trail.lookup.counted(body.inputs[0], at.message, at.entry):
        return
    payer = trail.lookup.certificate(terms.payer_certificate)
    payee = trail.lookup.certificate(terms.payee_certificate)
    owners = {payer.key: Party.of(payer), payee.key: Party.of(payee)}
    made = [_made(trail, at, index, output, owners[output.owner]) for index, output in outputs]
    spent = _marked_inputs(trail, at, body)
    got = [(Party.of(payee), piece) for piece in made if piece.owner == payee.key]
    if is_release(body, terms):
        _release(trail, at, body, spent, made, Party.of(payer), Party.of(payee))
        return
    trail.step(Moved.PAYMENT, at, payer.account, spent, made)
    trail.pay(at, Party.of(payer), got, body.lines)


def _made(trail: Trail, at: At, index: int, output: Output, owner: Party) -> Piece:
    name = outpoint(at.message, index)
    token = trail.lookup.offline(name)
    if token is None:
        raise LedgerCorrupt("an output of a payment that counted is missing", where=f"offline {name.hex()}")
    return trail.piece(at, name, output.owner, owner.account, output.amount_tiyn, _mark(token), Place.OFFLINE)


def _mark(token: OfflineToken) -> Mark | None:
    return None if token.purpose is None else Mark(token.purpose, token.left)


def _marked_inputs(trail: Trail, at: At, body: Transfer) -> list[Piece]:
    """What a payment spends of the purpose: live tokens, and such as were spent before or never were money."""
    spent = []
    for name in body.inputs:
        token = trail.lookup.offline(name)
        if token is None or token.purpose != trail.purpose:
            continue
        if name not in trail.pieces:  # its payment does not count: void
            holder = trail.lookup.certificate_of(token.owner).account
            trail.pieces[name] = trail.piece(
                at, name, token.owner, holder, token.amount_tiyn, _mark(token), Place.OFFLINE
            )
        spent.append(trail.pieces[name])
    return spent


def _release(
    trail: Trail, at: At, body: Transfer, spent: list[Piece], made: list[Piece], payer: Party, payee: Party
) -> None:
    """What a payment brought goes back, under the mark that it was drawn from, also where that had ended."""
    ended = [trail.pieces[name] for name in body.inputs if name in trail.pieces and not trail.pieces[name].purpose]
    first = [piece for piece in ended if piece.name not in trail.given_back]
    again = [piece for piece in ended if piece.name in trail.given_back]
    trail.given_back.update(piece.name for piece in first)
    drawn_tiyn = sum(piece.amount_tiyn for piece in first)
    after = tuple(piece.name for piece in first)
    # what is given back once more is a further spend, which a reserve covers
    trail.step(Moved.RELEASE, at, payer.account, [*spent, *again], made, after=after, drawn_tiyn=drawn_tiyn)
    back_tiyn = sum(piece.amount_tiyn for piece in made)
    source = body.inputs[0][: len(at.message)]
    items = trail.items_of(source, (spent or ended)[0].owner, back_tiyn)
    trail.move(Moved.RELEASE, at, payer, payee, back_tiyn, Place.OFFLINE, merchant=payer, items=items)


# --- what falls due ----------------------------------------------------------------------------


def sweep(trail: Trail, at: At, body: Sweep) -> None:
    """Tokens past their purpose's expiry, such as evidence has freed, and purses' tokens at their deadline."""
    for index, name in enumerate(body.outpoints):
        for piece in trail.live_among([name]):
            if piece.place is Place.OFFLINE:
                _final(trail, at, piece, outpoint(at.message, index))
            elif trail.is_freed([piece]):
                free(trail, [piece])
            else:
                give_up(trail, at, Moved.EXPIRED, piece)


def _final(trail: Trail, at: At, piece: Piece, made: bytes) -> None:
    """A purse's token comes online, less what is kept for a fork."""
    token = trail.lookup.offline(piece.name)
    purse = trail.lookup.certificate_of(piece.owner)
    kept_tiyn = token.kept_tiyn or 0 if token else 0
    back_tiyn = piece.amount_tiyn - kept_tiyn
    seized = ((Fate.SEIZED, kept_tiyn),) if kept_tiyn else ()
    holder = Party(piece.holder)
    if trail.is_freed([piece]):
        since = trail.freed_at(piece)
        trail.step(Moved.FREED, since, piece.holder, [piece], [], gone=((Fate.SPENT, back_tiyn), *seized))
        trail.move(Moved.FREED, since, holder, holder, back_tiyn, Place.FREE)
    else:
        owner, mark = purse.online_key or piece.owner, trail.mark_of([piece])
        online = [trail.piece(at, made, owner, purse.account, back_tiyn, mark, Place.ONLINE)] if back_tiyn else []
        trail.step(Moved.FINAL, at, piece.holder, [piece], online, gone=seized)
        trail.move(Moved.FINAL, at, holder, holder, back_tiyn, Place.ONLINE)
    trail.move(Moved.SEIZED, at, holder, Party(purse.bank), kept_tiyn, Place.FREE)
