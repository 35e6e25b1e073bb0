"""Where each load of a scenario went: the final ledger's offline outputs and payments as trees.

A tree begins with a load and alternates: a move (load, payment, release, renewal, unload) makes outputs, and what
spends an output is the next move. Two moves below one output are a fork. A move with inputs from several places is
followed below the first of them; below the others it stands as ``elsewhere``. Payments that only a purse knows are
in the trees too. Nothing here writes or decides: what the ledger says of an output is copied from its record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cbdc.amounts import format_tenge
from cbdc.errors import FormError
from cbdc.formats.tokens import Output, outpoint
from cbdc.log import entries
from cbdc.messages.bodies import Load, Sweep, Transfer, Unload
from cbdc.messages.message import Message, decode
from cbdc.offline.judge import is_release
from cbdc.state.records import Culprit, OfflineToken, Table, Token
from cbdc.store.sqlite import SqliteStore
from wallet.purse import Holding, Status

if TYPE_CHECKING:
    from wallet.scenarios.economy import Economy

MAX_DEPTH: Final = 12
"""Moves below one another in one tree: a load, five hops, syncs between. What goes on longer gets a tree of its own."""


@dataclass(frozen=True, slots=True)
class RouteOutput:
    """An output that a move made, and what spent it.

    ``state``: ``live``, ``spent``, ``forked``, ``returned`` (online at its deadline), ``seized`` (``seized_tiyn`` of
    it), ``void`` (its payment does not count), ``online`` (unloaded), ``pending`` (its payment is not on the ledger).
    """

    outpoint: bytes
    holder: str
    amount_tiyn: int
    purpose: str | None
    state: str
    seized_tiyn: int
    spends: tuple[Move, ...]

    def to_json(self) -> dict[str, Any]:
        seized = {"seized": format_tenge(self.seized_tiyn)} if self.seized_tiyn else {}
        return {
            "outpoint": self.outpoint.hex(),
            "holder": self.holder,
            "amount": format_tenge(self.amount_tiyn),
            "purpose": self.purpose,
            "state": self.state,
            **seized,
            "spends": [move.to_json() for move in self.spends],
        }


@dataclass(frozen=True, slots=True)
class Move:
    """One message that moved offline tenge, or would have.

    ``kind``: ``load``, ``payment``, ``release``, ``renewal`` (a sync), ``unload``. ``name`` is the scenario's, if the
    step had ``as``. ``status``: ``settled``, ``disputed``, ``released``, ``void``, ``refused``, or what the purse says
    of a payment without an ``entry`` in the log.
    """

    id: bytes
    kind: str
    name: str | None
    payer: str
    payee: str
    amount_tiyn: int
    hop: int
    status: str
    entry: int | None
    elsewhere: bool
    outputs: tuple[RouteOutput, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id.hex(),
            "kind": self.kind,
            "name": self.name,
            "from": self.payer,
            "to": self.payee,
            "amount": format_tenge(self.amount_tiyn),
            "hop": self.hop,
            "status": self.status,
            "entry": self.entry,
            "elsewhere": self.elsewhere,
            "outputs": [output.to_json() for output in self.outputs],
        }


def trace(economy: Economy, store: SqliteStore, names: dict[bytes, str]) -> tuple[Move, ...]:
    """The trees, in the order of the log. ``names`` are the scenario's names of payments, by payment id.

    Raises:
        TengeError: the log cannot be read.
    """
    return tuple(_Tracer(economy, store, names).trees())


def all_moves(routes: Iterable[Move]) -> Iterator[Move]:
    """Every move of the trees from the top, also where it only refers elsewhere."""
    for move in routes:
        yield move
        for output in move.outputs:
            yield from all_moves(output.spends)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A message that moves offline tenge, and its place in the log (None: only a purse knows it)."""

    message: Message
    body: Load | Unload | Transfer
    entry: int | None

    @property
    def inputs(self) -> tuple[bytes, ...]:
        """The offline outputs that it spends; a load spends online tokens."""
        return () if isinstance(self.body, Load) else self.body.inputs


class _Tracer:
    """Reads everything once, then grows the trees."""

    def __init__(self, economy: Economy, store: SqliteStore, names: dict[bytes, str]) -> None:
        self._economy = economy
        self._store = store
        self._names = names
        self._network = economy.governor.network
        self._seen: dict[bytes, _Seen] = {}
        self._swept: dict[bytes, bytes] = {}
        self._status: dict[bytes, str] = {}
        self._read_log()
        self._read_purses()
        self._spenders: dict[bytes, list[_Seen]] = {}
        for seen in self._seen.values():
            for name in seen.inputs:
                self._spenders.setdefault(name, []).append(seen)
        records = list(store.records(Table.OFFLINE))
        self._offline = {name: OfflineToken.decode(value) for (_, name), value in records}
        self._seized = self._provisional_seizures()
        self._grown: set[bytes] = set()
        self._roots: deque[_Seen] = deque()

    # --- reading -------------------------------------------------------------------------------

    def _read_log(self) -> None:
        for index, data, _ in self._store.entries():
            message = decode(entries.decode(data)[1], self._network)
            if isinstance(message.body, Sweep):
                for place, name in enumerate(message.body.outpoints):
                    self._swept[name] = outpoint(message.id, place)
            for part in message.parts or (message,):
                self._take(part, index)

    def _read_purses(self) -> None:
        """What devices signed or took and the ledger has not seen; a payee's refusal or release is the last word."""
        last_words: dict[bytes, str] = {}
        for device in self._economy.devices.values():
            purse = device.wallet
            sent = purse.sent()
            self._status |= {payment.id: payment.status.value for payment in sent}
            last_words |= {
                held.id: held.state.value
                for held in purse.received()
                if held.state in (Holding.REFUSED, Holding.RELEASED)
            }
            for raw in (*(payment.payment() for payment in sent), *sorted(purse.evidence())):
                try:
                    self._take(decode(raw, self._network), None)
                except FormError:
                    # a careless purse keeps what nobody can read; it leads nowhere
                    continue
        self._status |= last_words

    def _take(self, message: Message, entry: int | None) -> None:
        body = message.body
        if isinstance(body, Load | Unload) or (isinstance(body, Transfer) and body.terms is not None):
            self._seen.setdefault(message.id, _Seen(message, body, entry))

    def _provisional_seizures(self) -> dict[bytes, int]:
        """What of each live leaf of a culprit is seized (tiyn), spread in the order in which they become final."""
        seized: dict[bytes, int] = {}
        left = {purse: Culprit.decode(v).seized_tiyn for (_, purse), v in self._store.records(Table.CULPRIT)}
        live = [(token.final_at_s, name, token) for name, token in self._offline.items() if token.is_live]
        for _, name, token in sorted(live, key=lambda leaf: leaf[:2]):
            seized[name] = min(token.amount_tiyn, left.get(token.owner, 0))
            left[token.owner] = left.get(token.owner, 0) - seized[name]
        return seized

    # --- growing -------------------------------------------------------------------------------

    def trees(self) -> Iterator[Move]:
        self._roots.extend(seen for seen in self._seen.values() if isinstance(seen.body, Load))
        while self._roots:
            yield self._move(self._roots.popleft(), 0)

    def _move(self, seen: _Seen, depth: int) -> Move:
        is_elsewhere = depth > 0 and seen.message.id in self._grown
        if not is_elsewhere and depth == MAX_DEPTH:
            is_elsewhere = True
            self._roots.append(seen)
        self._grown.add(seen.message.id)
        payer, payee, amount_tiyn = self._parties(seen)
        status = self._status_of(seen)
        terms = seen.body.terms if isinstance(seen.body, Transfer) else None
        return Move(
            id=seen.message.id,
            kind=_kind(seen.body, self._kept(seen)),
            name=self._names.get(seen.message.id),
            payer=payer,
            payee=payee,
            amount_tiyn=amount_tiyn,
            hop=terms.hop if terms else 0,
            status=status,
            entry=seen.entry,
            elsewhere=is_elsewhere,
            outputs=() if is_elsewhere else tuple(self._outputs(seen, status, depth)),
        )

    def _outputs(self, seen: _Seen, status: str, depth: int) -> Iterator[RouteOutput]:
        for index, output in enumerate(seen.body.outputs):
            name = outpoint(seen.message.id, index)
            token = self._offline.get(name)
            if token is None and isinstance(seen.body, Load):
                continue  # online change of a load never entered the purse
            purpose = token.purpose if token else output.purpose
            seized_tiyn = self._seized_of(name, token)
            state = _state(token, seized_tiyn) if token else _unseen_state(seen.body, status)
            yield RouteOutput(
                outpoint=name,
                holder=self._holder(output.owner),
                amount_tiyn=output.amount_tiyn,
                purpose=None if purpose is None else self._economy.purpose_name(purpose),
                state=state,
                seized_tiyn=seized_tiyn,
                spends=tuple(self._move(spend, depth + 1) for spend in self._spenders.get(name, ())),
            )

    # --- what each thing is --------------------------------------------------------------------

    def _kept(self, seen: _Seen) -> list[Output]:
        """The outputs that stay in the spender's own purse."""
        return [output for output in seen.body.outputs if output.owner in seen.message.signers]

    def _parties(self, seen: _Seen) -> tuple[str, str, int]:
        """Who moves it, to whom, and how much of it (tiyn)."""
        kept = self._kept(seen)
        moved = [output for output in seen.body.outputs if output not in kept] or list(seen.body.outputs)
        if isinstance(seen.body, Load):
            moved = [o for i, o in enumerate(seen.body.outputs) if outpoint(seen.message.id, i) in self._offline]
        payer = ", ".join(sorted({self._holder(key) for key in seen.message.signers}))
        payee = ", ".join(sorted({self._holder(output.owner) for output in moved}))
        return payer, payee, sum(output.amount_tiyn for output in moved)

    def _holder(self, key: bytes) -> str:
        return self._economy.name_of(self._economy.queries.certificate_of(key).account)

    def _status_of(self, seen: _Seen) -> str:
        """As `Payments.status` says of a named payment, for every one."""
        message_id, inputs = seen.message.id, [self._offline.get(name) for name in seen.inputs]
        counts = not inputs or any(token and message_id in token.spenders for token in inputs)
        if not counts and seen.entry is None:
            return self._status.get(message_id, Status.ACCEPTED.value)
        if not counts:
            made = self._offline.get(outpoint(message_id, 0))
            return "void" if made and made.void else Status.REFUSED.value
        if any(token and len(token.spenders) > 1 for token in inputs):
            return Status.DISPUTED.value
        return Status.RELEASED.value if self._is_released(seen) else Status.SETTLED.value

    def _is_released(self, seen: _Seen) -> bool:
        names = (outpoint(seen.message.id, index) for index in range(len(seen.body.outputs)))
        spends = [spend.body for name in names for spend in self._spenders.get(name, ())]
        return any(_gives_back(body) for body in spends)

    def _seized_of(self, name: bytes, token: OfflineToken | None) -> int:
        """What of an output (tiyn) went to its holder's debt; of one that returned, what did not come online."""
        if token is None or not token.returned:
            return self._seized.get(name, 0)
        made = self._swept.get(name, b"")
        value = self._store.get((Table.TOKEN, made))
        if value is not None:
            return token.amount_tiyn - Token.decode(value).amount_tiyn
        # spent since: then something came online, and how much the final state no longer says
        return 0 if self._store.consumers_of(made) else token.amount_tiyn


def _kind(body: Load | Unload | Transfer, kept: list[Output]) -> str:
    if isinstance(body, Load):
        return "load"
    if isinstance(body, Unload):
        return "renewal" if len(kept) == len(body.outputs) else "unload"
    return "release" if _gives_back(body) else "payment"


def _gives_back(body: Load | Unload | Transfer) -> bool:
    return isinstance(body, Transfer) and body.terms is not None and is_release(body, body.terms)


def _unseen_state(body: Load | Unload | Transfer, status: str) -> str:
    """Of an output without an offline record: it is online, or its payment did not count, or not yet."""
    if isinstance(body, Unload):
        return "online"
    return "void" if status == Status.REFUSED.value else "pending"


def _state(token: OfflineToken, seized_tiyn: int) -> str:
    if token.spenders:
        return "forked" if len(token.spenders) > 1 else "spent"
    if token.void:
        return "void"
    if seized_tiyn:
        return "seized"
    return "returned" if token.returned else "live"
