"""The benchmark behind `tenge bench`. Every rate stands beside raw verification measured in the same run.

Transfers are distinct, go through `Ledger.submit` as bytes, are committed with full synchronisation, and every
receipt is verified afterwards.
"""

from __future__ import annotations

import gc
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cbdc.formats import certificates
from cbdc.formats.certificates import Holder, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_ENROLMENTS
from cbdc.messages.bodies import Enrol, Grant, Load, OfflineTerms, Reconcile, Transfer
from cbdc.messages.message import build, decode
from cbdc.policy import Policy
from cbdc.purposes.conditions import PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from cbdc.service import verifiers
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.store.sqlite import SqliteStore
from wallet import sizes
from wallet.campaign import BATCH, Campaign
from wallet.campaign_list import PaymentList, Row
from wallet.keys import words_of
from wallet.port import LocalPort
from wallet.purposes import PurposeWallet
from wallet.throughput import Raw, Round, Throughput
from wallet.vault import QUICK_KDF, Vault

NOW_S: Final = 1_788_000_000
_UNTIL_S: Final = NOW_S + 86_400
_ROUND: Final = 5_000
"""Transfers between two slices of raw verification."""

_ROUND_OF_HOPS: Final = 10_000
"""Hops between two slices: evidence comes in larger groups, so a short round would measure how the pipeline fills."""

_OWNERS: Final = 64
_WINDOW: Final = 4_000
"""Messages that the bench keeps waiting for their receipts, as many concurrent clients would."""

_STIPEND_TIYN: Final = 500_00
_EVIDENCE: Final = 250
"""Payments in one reconcile: some merchant's day."""

Report = Callable[[str], None]
Figures = dict[str, dict[str, float | int]]


def run(directory: Path, transfers: int, report: Report) -> Figures:
    """All figures, grouped as in the JSON output. Collects garbage rarely while it measures: see `_quiet_collector`."""
    with Raw() as raw, _Bench(directory / "one", raw) as bench, _quiet_collector():
        report("warming up")
        bench.transfers(_ROUND, inputs=1, outputs=1)
        raw.forget()
        report("durable transfers, one signature each")
        one = bench.transfers(transfers, inputs=1, outputs=1)
        report("durable transfers with change")
        change = bench.transfers(max(500, transfers // 2), inputs=1, outputs=2)
        report("durable transfers, two inputs by two owners")
        two = bench.transfers(max(500, transfers // 2), inputs=2, outputs=2)
        report("reconciled hops")
        hops = bench.reconcile(max(500, transfers))
        report("a grant to a list of pupils")
        with _School(bench, directory / "sponsor", max(500, transfers)) as school:
            granted, by_list = school.grants(), school.by_list()
        rates = raw.mean()
    report("offline payloads")
    return {
        "raw": rates,
        "ledger": {
            "transfers_per_s": one.per_s,
            "ratio": one.ratio,
            "ratio_lowest_round": one.lowest_ratio,
            "ratio_highest_round": one.highest_ratio,
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
            "one_in_two_out_per_s": change.per_s,
            "one_in_two_out_ratio": change.ratio,
            "two_in_two_out_per_s": two.per_s,
            "two_in_two_out_ratio": 2 * two.ratio,
        },
        "reconcile": {"hops_per_s": hops.per_s, "ratio": hops.ratio},
        "grant": {
            "per_s": granted.per_s,
            "ratio": granted.ratio,
            "by_list_per_s": by_list.per_s,
            "by_list_ratio": by_list.ratio,
        },
        "payload": {**sizes.figures(sizes.measure(directory / "payloads"))},
    }


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Collect rarely, as a service of its own does: the cyclic collector walks all messages that the bench holds."""
    before = gc.get_threshold()
    gc.collect()
    verifiers.collect_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


# --- the ledger --------------------------------------------------------------------------------


class _Bench:
    """A ledger with verifying processes, and money to move about."""

    def __init__(self, directory: Path, raw: Raw) -> None:
        self._raw = raw
        self.governor = Governor.from_seed(_seed("governor"))
        self.network = self.governor.network
        self.bank, operator = SigningKey(_seed("bank")), SigningKey(_seed("operator"))
        self.identity = Identity(self.network, "bench", operator)
        store = SqliteStore.create(directory / "ledger.db")
        self.ledger = Ledger(store, self.identity, clock=lambda: NOW_S, verifier=verifiers.processes())
        self.do(self.governor.genesis("bench", "Operator", operator.public, Policy(), NOW_S))
        self.do(self.governor.admit_bank("altyn", self.bank.public, NOW_S))
        self.owners = [SigningKey(_seed(f"owner {i}")) for i in range(_OWNERS)]
        self.purses = [SigningKey(_seed(f"purse {i}")) for i in range(_OWNERS)]
        self.purse_certificates = self._enrol()
        self._nonce = 0

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def do(self, raw: bytes) -> bytes:
        """Hand a message in and wait; its id."""
        self.ledger.submit(raw).result()
        return decode(raw, self.network).id

    def enrol_wallets(self, keys: Mapping[str, bytes], holder: Holder) -> None:
        """Customers without purses, by name."""
        common: dict[str, Any] = {"bank": "altyn", "issued_s": NOW_S, "expires_s": NOW_S + 10**8, "holder": holder}
        raw = [
            certificates.issue(self.bank, self.network, subject=name, key=key, **common) for name, key in keys.items()
        ]
        for start in range(0, len(raw), MAX_ENROLMENTS):
            body = Enrol(tuple(raw[start : start + MAX_ENROLMENTS]))
            self.do(build(Kind.ENROL, body, [self.bank], self.network))

    def fund_key(self, key: bytes, amount_tiyn: int) -> bytes:
        """Fresh money for a key, in one token; its outpoint."""
        self._nonce += 1
        issued = self.do(self.governor.issue(self.bank.public, amount_tiyn, self._nonce.to_bytes(16, "big")))
        body = Transfer((outpoint(issued, 0),), (Output(key, amount_tiyn, None),), _UNTIL_S)
        return outpoint(self.do(build(Kind.TRANSFER, body, [self.bank], self.network)), 0)

    def _enrol(self) -> list[bytes]:
        common: dict[str, Any] = {"bank": "altyn", "issued_s": NOW_S, "expires_s": NOW_S + 10**8}
        limits, ids = PurseLimits(100_000_00, 20_000_00, 10, 5), []
        for i, (owner, purse) in enumerate(zip(self.owners, self.purses, strict=True)):
            mine = {**common, "subject": f"owner-{i}"}
            wallet = certificates.issue(self.bank, self.network, key=owner.public, **mine)
            offline = certificates.issue(
                self.bank, self.network, key=purse.public, limits=limits, online_key=owner.public, **mine
            )
            self.do(build(Kind.ENROL, Enrol((wallet, offline)), [self.bank], self.network))
            ids.append(certificates.unverified(offline, self.network)[0].id)
        return ids

    def _fund(self, count: int, amount_tiyn: int) -> list[tuple[bytes, int]]:
        """Fresh tokens, spread over the owners: (outpoint, owner number)."""
        tokens: list[tuple[bytes, int]] = []
        while len(tokens) < count:
            self._nonce += 1
            issued = self.do(self.governor.issue(self.bank.public, 250 * amount_tiyn, self._nonce.to_bytes(16, "big")))
            owners = [(len(tokens) + i) % _OWNERS for i in range(250)]
            outputs = tuple(Output(self.owners[owner].public, amount_tiyn, None) for owner in owners)
            body = Transfer((outpoint(issued, 0),), outputs, _UNTIL_S)
            made = self.do(build(Kind.TRANSFER, body, [self.bank], self.network))
            tokens += [(outpoint(made, i), owner) for i, owner in enumerate(owners)]
        return tokens[:count]

    def transfers(self, count: int, *, inputs: int, outputs: int) -> Throughput:
        """Distinct transfers of ``inputs`` tokens by as many owners; a second output is change."""
        tokens = self._fund(count * inputs, 1_000_00)
        messages = []
        for start in range(0, len(tokens), inputs):
            part = tokens[start : start + inputs]
            change_tiyn = 600_00 * (outputs - 1)
            payee, payer = self.owners[(part[0][1] + 7) % _OWNERS], self.owners[part[0][1]]
            made = [Output(payee.public, 1_000_00 * inputs - change_tiyn, None)]
            made += [Output(payer.public, change_tiyn, None)] * (outputs - 1)
            body = Transfer(tuple(name for name, _ in part), tuple(made), _UNTIL_S)
            keys = [self.owners[owner] for _, owner in part]
            messages.append(build(Kind.TRANSFER, body, keys, self.network))
        return self.rounds(messages, _ROUND)

    def timed(self, work: Callable[[], None], count: int) -> Throughput:
        """Something that hands its own messages in, between two slices of raw verification."""
        before, started_s = self._raw.slice(), time.perf_counter()
        work()
        taken_s = time.perf_counter() - started_s
        return Throughput((Round(count, taken_s, [], (before + self._raw.slice()) / 2),))

    def rounds(self, messages: list[bytes], size: int, each: float = 1) -> Throughput:
        """Hand messages in, ``size`` at a time, with a slice of raw verification between; ``each`` has so many hops."""
        rounds, before = [], self._raw.slice()
        even = -(-len(messages) // max(1, round(len(messages) / size)))  # no short round at the end
        for start in range(0, len(messages), even):
            part = messages[start : start + even]
            taken_s, waits_ms = self._drive(part, max(1, int(_WINDOW / each)))
            after = self._raw.slice()
            rounds.append(Round(round(len(part) * each), taken_s, waits_ms, (before + after) / 2))
            before = after
        return Throughput(tuple(rounds))

    def _drive(self, messages: list[bytes], waiting: int) -> tuple[float, list[float]]:
        """Submit with so many clients waiting; then verify every receipt. Seconds in all, ms for each."""
        window = threading.Semaphore(waiting)
        submitted_s, answered_s = [0.0] * len(messages), [0.0] * len(messages)

        def answered(index: int) -> None:
            answered_s[index] = time.perf_counter()
            window.release()

        answers = []
        started_s = time.perf_counter()
        for index, raw in enumerate(messages):
            window.acquire()
            submitted_s[index] = time.perf_counter()
            answer = self.ledger.submit(raw)
            answer.add_done_callback(lambda _, index=index: answered(index))  # type: ignore[misc]
            answers.append(answer)
        receipts = [answer.result() for answer in answers]
        for _ in range(min(waiting, len(messages))):  # a result can be had a moment before its callback has run
            window.acquire()
        taken_s = max(answered_s) - started_s
        for raw, receipt in zip(messages, receipts, strict=True):
            receipt.verify(raw, self.identity.origin, self.identity.operator.public)
        return taken_s, [(a - s) * 1000 for a, s in zip(answered_s, submitted_s, strict=True)]

    def reconcile(self, count: int) -> Throughput:
        """One-hop payments between purses, at least ``count``, handed in as evidence in groups; hops per second."""
        loaded = self._load(-(-count // _EVIDENCE) * _EVIDENCE)
        payments = [self._offline_payment(name, owner) for name, owner in loaded]
        groups = [tuple(payments[start : start + _EVIDENCE]) for start in range(0, len(payments), _EVIDENCE)]
        evidence = [build(Kind.RECONCILE, Reconcile(group), [], self.network) for group in groups]
        return self.rounds(evidence, _ROUND_OF_HOPS // _EVIDENCE, _EVIDENCE)

    def _load(self, count: int) -> list[tuple[bytes, int]]:
        loads = []
        for name, owner in self._fund(count, 10_00):
            body = Load((name,), (Output(self.purses[owner].public, 10_00, None),), _UNTIL_S)
            raw = build(Kind.LOAD, body, [self.owners[owner]], self.network)
            loads.append((raw, owner))
        for answer in [self.ledger.submit(raw) for raw, _ in loads]:
            answer.result()
        return [(outpoint(decode(raw, self.network).id, 0), owner) for raw, owner in loads]

    def _offline_payment(self, name: bytes, owner: int) -> bytes:
        payee = (owner + 1) % _OWNERS
        terms = OfflineTerms(
            _seed("invoice"), self.purse_certificates[owner], self.purse_certificates[payee], 1, 1, 1, NOW_S, NOW_S
        )
        outputs = (Output(self.purses[payee].public, 6_00, None), Output(self.purses[owner].public, 4_00, None))
        body = Transfer((name,), outputs, _UNTIL_S, None, terms)
        return build(Kind.TRANSFER, body, [self.purses[owner]], self.network)


# --- a sponsor's grants ------------------------------------------------------------------------


class _School:
    """Pupils enrolled in the bench's ledger, and a sponsor's wallet with money and a purpose."""

    def __init__(self, bench: _Bench, directory: Path, pupils: int) -> None:
        self._bench = bench
        self._vault = Vault.create(directory / "wallet.db", "bench", cost=QUICK_KDF)
        self._vault.put("wallet", b"words", words_of(_seed("sponsor")))
        self._vault.put("wallet", b"keys", 1)
        self._wallet = PurposeWallet(self._vault, bench.network)
        self._sponsor = self._wallet.key
        self._queries = Queries(
            SqliteStore.read(bench.ledger.store.path), bench.identity, lambda: NOW_S, bench.ledger.horizon
        )
        self._pupils = [SigningKey(_seed(f"pupil {i}")).public for i in range(pupils)]
        bench.enrol_wallets({"sponsor": self._sponsor.public}, Holder.SPONSOR)
        bench.enrol_wallets({f"pupil-{i}": key for i, key in enumerate(self._pupils)}, Holder.PERSON)
        titles, until_s = ("Stipend",) * 3, NOW_S + 10**7
        key = self._sponsor.public
        body = Definition("stipend", titles, key, key, PerPayment(1_000_00), Clears(), until_s)
        self._purpose = bench.do(build(Kind.PURPOSE, body, [self._sponsor], bench.network))

    def __enter__(self) -> _School:
        return self

    def __exit__(self, *_: object) -> None:
        self._queries.close()
        self._vault.close()

    def grants(self) -> Throughput:
        """Each pupil once, in messages of 255 that are signed beforehand: the ledger's work alone, and the receipts."""
        messages, left_tiyn = [], len(self._pupils) * _STIPEND_TIYN
        name = self._bench.fund_key(self._sponsor.public, left_tiyn)
        for start in range(0, len(self._pupils), BATCH):
            part = self._pupils[start : start + BATCH]
            outputs = [Output(key, _STIPEND_TIYN, self._purpose) for key in part]
            left_tiyn -= len(part) * _STIPEND_TIYN
            if left_tiyn:
                outputs.append(Output(self._sponsor.public, left_tiyn, None))
            body = Grant((name,), tuple(outputs), _UNTIL_S, self._purpose)
            messages.append(build(Kind.GRANT, body, [self._sponsor], self._bench.network))
            name = outpoint(decode(messages[-1], self._bench.network).id, len(part))
        return self._bench.rounds(messages, len(messages), len(self._pupils) / len(messages))

    def by_list(self) -> Throughput:
        """Each pupil once more, as `tenge sponsor grant` does it: sign, journal, hand in, verify, go on."""
        self._bench.fund_key(self._sponsor.public, len(self._pupils) * _STIPEND_TIYN)
        rows = [Row(number, "", key, _STIPEND_TIYN, "") for number, key in enumerate(self._pupils)]
        port = LocalPort(self._bench.ledger, self._queries)
        campaign = Campaign(self._wallet, port, self._purpose, PaymentList(bytes(32), tuple(rows), ()), "bench")
        check = campaign.check()
        return self._bench.timed(lambda: campaign.run(check), len(rows))


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"tenge bench {name}".encode()).digest()
