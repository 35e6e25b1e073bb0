"""The way to a ledger in another process of this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

from cbdc.errors import Malformed, Unreachable, WrongNetwork
from cbdc.formats.calls import read_answer, request
from cbdc.limits import LEDGER_ANSWER_S, MAX_LEDGER_ANSWER_BYTES
from cbdc.log.receipts import Receipt
from cbdc.policy import Policy
from cbdc.purposes.conditions import Memory
from cbdc.purposes.definition import Definition
from cbdc.service.pages import Page
from cbdc.service.purpose_queries import Refundable
from cbdc.service.stream import receive_frame, send_frame
from cbdc.service.wire import LEDGER_CALLS
from cbdc.state.records import OfflineToken, Token, Waiting

_BETWEEN_TRIES_S = 0.05


class RemotePort:
    """A `LedgerPort` over a Unix socket. It connects when it is first asked, and again after the connection broke.

    A call that breaks in the middle is made again, byte for byte, for up to ``patience_s`` seconds: all of them may
    be made twice, and the same message gets the same receipt. Where nobody listens to begin with, a call is
    `Unreachable` at once.
    """

    def __init__(self, path: Path, network: bytes, patience_s: float = LEDGER_ANSWER_S) -> None:
        self.network = network
        self._path = path
        self._patience_s = patience_s
        self._channel: socket.socket | None = None
        self._turn = threading.Lock()

    @property
    def origin(self) -> str:
        """The log's origin line. Raises WrongNetwork: this ledger is of another network than the pinned one."""
        return self.check_network()

    def check_network(self) -> str:
        """As `origin`, for whoever wants to know before anything else whose ledger this is."""
        network, origin = self._ask("identity")
        if network != self.network:
            raise WrongNetwork("this is another network's ledger", found=network, wanted=self.network)
        return str(origin)

    def close(self) -> None:
        """Hang up; a later call connects again."""
        with self._turn:
            self._hang_up()

    # --- calls ---------------------------------------------------------------------------------

    def submit(self, message: bytes) -> Receipt:
        receipt: Receipt = self._ask("submit", message)
        return receipt

    def trust_list(self) -> bytes:
        return bytes(self._ask("trust_list"))

    def policy(self) -> Policy:
        policy: Policy = self._ask("policy")
        return policy

    def purposes(self) -> dict[bytes, Definition]:
        return self._all_after("purposes_after")

    def waiting(self) -> dict[bytes, Waiting]:
        return self._all_after("waiting_after")

    def waiting_of(self, payers: Iterable[bytes]) -> dict[bytes, Waiting]:
        return self._all_of("waiting_of_after", payers, attrgetter("signer"))

    def waiting_payment(self, payment_id: bytes) -> Waiting | None:
        waiting: Waiting | None = self._ask("waiting_payment", payment_id)
        return waiting

    def purpose_memory(self, purpose: bytes, payer: str, payee: str) -> Memory:
        memory: Memory = self._ask("purpose_memory", purpose, payer, payee)
        return memory

    def approvers_of(self, payment_id: bytes) -> tuple[str, ...]:
        return tuple(self._ask("approvers_of", payment_id))

    def refundable(self, payment_id: bytes) -> tuple[Refundable, ...]:
        return tuple(self._ask("refundable", payment_id))

    def keys_of(self, account: str) -> tuple[bytes, ...]:
        return tuple(self._ask("keys_of", account))

    def is_freed(self, outpoint: bytes) -> bool:
        return bool(self._ask("is_freed", outpoint))

    def institution_of(self, key: bytes) -> str | None:
        name: str | None = self._ask("institution_of", key)
        return name

    def institution_key(self, name: str) -> bytes | None:
        key: bytes | None = self._ask("institution_key", name)
        return key

    def role_of(self, name: str) -> str | None:
        role: str | None = self._ask("role_of", name)
        return role

    def tokens_of(self, owners: Iterable[bytes]) -> dict[bytes, Token]:
        return self._all_of("tokens_after", owners)

    def offline_of(self, owners: Iterable[bytes]) -> dict[bytes, OfflineToken]:
        return self._all_of("offline_after", owners)

    def offline_token(self, outpoint: bytes) -> OfflineToken | None:
        token: OfflineToken | None = self._ask("offline_token", outpoint)
        return token

    def spenders_of(self, outpoint: bytes) -> tuple[bytes, ...]:
        return tuple(self._ask("spenders_of", outpoint))

    def load_certificate(self, outpoint: bytes) -> bytes | None:
        certificate: bytes | None = self._ask("load_certificate", outpoint)
        return certificate

    def sync_certificate(self, purse_key: bytes, challenge: bytes) -> bytes:
        return bytes(self._ask("sync_certificate", purse_key, challenge))

    def certificate_bytes(self, key: bytes) -> bytes:
        return bytes(self._ask("certificate_bytes", key))

    def claims_tiyn(self, bank: str) -> int:
        return int(self._ask("claims_tiyn", bank))

    def seized_tiyn(self, purse_key: bytes) -> int:
        return int(self._ask("seized_tiyn", purse_key))

    def debt_tiyn(self, account: str) -> int:
        return int(self._ask("debt_tiyn", account))

    def ledger_time_s(self) -> int:
        return int(self._ask("ledger_time_s"))

    # --- page by page --------------------------------------------------------------------------

    def _all_of(
        self, name: str, owners: Iterable[bytes], owner_of: Callable[[Any], bytes] = attrgetter("owner")
    ) -> dict[bytes, Any]:
        """All things of these owners: each page goes on behind the last thing of the one before, at its owner."""
        left = list(dict.fromkeys(owners))
        found: dict[bytes, Any] = {}
        page = self._page(name, left, b"")
        while page.has_more:
            last, owner = list(page.found)[-1], owner_of(list(page.found.values())[-1])
            if last in found or owner not in left:
                raise Malformed("a page that does not go on behind the last one", call=name)
            found |= page.found
            left = left[left.index(owner) :]
            page = self._page(name, left, last)
        return found | page.found

    def _all_after(self, name: str) -> dict[bytes, Any]:
        """All named things: each page goes on behind the last name of the one before."""
        found: dict[bytes, Any] = {}
        page = self._page(name, b"")
        while page.has_more:
            if max(page.found) in found:
                raise Malformed("a page that does not go on behind the last one", call=name)
            found |= page.found
            page = self._page(name, max(page.found))
        return found | page.found

    def _page(self, name: str, *arguments: Any) -> Page[Any]:
        """One page. Raises Malformed: there is to be more, but nothing that comes before it."""
        page: Page[Any] = self._ask(name, *arguments)
        if page.has_more and not page.found:
            raise Malformed("an empty page with more behind it", call=name)
        return page

    # --- one call ------------------------------------------------------------------------------

    def _ask(self, name: str, *arguments: Any) -> Any:
        """One call and its result.

        Raises:
            TengeError: the ledger refused. Unreachable: nobody listens, or the ledger broke off and stayed away.
            Malformed: what came back is no answer to this call.
        """
        with self._turn:
            reply = self._exchange(request(name, *arguments))
        value, error = read_answer(reply, MAX_LEDGER_ANSWER_BYTES)
        if error is not None:
            raise error
        return LEDGER_CALLS[name].result(value)

    def _exchange(self, body: bytes) -> bytes:
        deadline_s: float | None = None
        while True:
            try:
                if self._channel is None:
                    self._channel = _connect(self._path)
                deadline_s = deadline_s or time.monotonic() + self._patience_s
                send_frame(self._channel, body)
                reply = receive_frame(self._channel, MAX_LEDGER_ANSWER_BYTES)
                if reply is None:
                    raise ConnectionResetError
            except OSError as error:
                self._hang_up()
                if deadline_s is None or time.monotonic() > deadline_s:
                    raise Unreachable("the ledger does not answer", reason=type(error).__name__) from None
                time.sleep(_BETWEEN_TRIES_S)
            except BaseException:  # an answer that nobody waited for must not be taken for the next one's
                self._hang_up()
                raise
            else:
                return reply

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __repr__(self) -> str:
        return f"RemotePort({self._path})"


def _connect(path: Path) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(LEDGER_ANSWER_S)
        channel.connect(str(path))
    except BaseException:
        channel.close()
        raise
    return channel
