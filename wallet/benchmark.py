"""The benchmark behind `tenge bench`. Every rate stands beside raw verification measured in the same run.

Transfers are distinct, go through `Ledger.submit` as bytes, are committed with full synchronisation, and every
receipt is verified afterwards.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cbdc.errors import InvariantViolation
from cbdc.formats import certificates
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import Enrol, Load, OfflineTerms, Reconcile, Transfer
from cbdc.messages.message import build, decode
from cbdc.policy import Policy
from cbdc.service import verifiers
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity, Ledger
from cbdc.store.sqlite import SqliteStore
from wallet import sizes

NOW_S: Final = 1_788_000_000
_UNTIL_S: Final = NOW_S + 86_400
_SLICE_S: Final = 0.3
_ROUND: Final = 5_000
"""Transfers between two slices of raw verification."""

_ROUND_OF_HOPS: Final = 10_000
"""Hops between two slices: evidence comes in larger groups, so a short round would measure how the pipeline fills."""

_OWNERS: Final = 64
_WINDOW: Final = 4_000
"""Messages that the bench keeps waiting for their receipts, as many concurrent clients would."""

_EVIDENCE: Final = 250
"""Payments in one reconcile: some merchant's day."""

Report = Callable[[str], None]
Figures = dict[str, dict[str, float | int]]


def run(directory: Path, transfers: int, report: Report) -> Figures:
    """All figures, grouped as in the JSON output. Collects garbage rarely while it measures: see `_quiet_collector`."""
    with _Raw() as raw, _Bench(directory / "one", raw) as bench, _quiet_collector():
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


# --- raw verification --------------------------------------------------------------------------


class _Raw:
    """Strict Ed25519 verification alone, in slices between the other measurements.

    Machines change their speed by the minute; a ratio is to the slices just before and after what was measured.
    """

    def __init__(self) -> None:
        self._cores = os.cpu_count() or 1
        self._pool = multiprocessing.get_context("forkserver").Pool(self._cores)
        self._pool.map(_verify_for, [0.05] * self._cores, chunksize=1)
        self._one: list[float] = []
        self._all: list[float] = []

    def __enter__(self) -> _Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def slice(self) -> float:
        """Verifications per second on all cores, just now: the better of threads and processes."""
        self._one.append(_verify_for(_SLICE_S) / _SLICE_S)
        with ThreadPoolExecutor(self._cores) as threads:
            in_threads = sum(threads.map(_verify_for, [_SLICE_S] * self._cores))
        in_processes = sum(self._pool.map(_verify_for, [_SLICE_S] * self._cores, chunksize=1))
        self._all.append(max(in_threads, in_processes) / _SLICE_S)
        return self._all[-1]

    def forget(self) -> None:
        """Leave out the slices of the warming up."""
        self._one.clear()
        self._all.clear()

    def mean(self) -> dict[str, float | int]:
        return {
            "verify_per_s_one_thread": sum(self._one) / len(self._one),
            "verify_per_s_all_cores": sum(self._all) / len(self._all),
        }


def _verify_for(seconds: float) -> int:
    """Verifications of distinct 200-byte messages done within a time."""
    key = SigningKey(_seed("raw"))
    signed = [(message := i.to_bytes(200, "big"), key.sign(message)) for i in range(64)]
    done, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        for message, signature in signed:
            if not is_valid(key.public, message, signature):
                raise InvariantViolation("a genuine signature did not verify")
        done += len(signed)
    return done


# --- the ledger --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Round:
    """Some messages handed in together: how many (transfers or hops), in how long, each one's wait, raw beside it."""

    count: int
    taken_s: float
    waits_ms: list[float]
    raw_per_s: float

    @property
    def ratio(self) -> float:
        return self.count / self.taken_s / self.raw_per_s


@dataclass(frozen=True, slots=True)
class Throughput:
    """What some rounds come to: rates, ratios to the raw slices around each, time from submit to receipt."""

    rounds: tuple[Round, ...]

    @property
    def per_s(self) -> float:
        return sum(r.count for r in self.rounds) / sum(r.taken_s for r in self.rounds)

    @property
    def ratio(self) -> float:
        """All that was done, to all that raw verification would have done in the same time."""
        return sum(r.count for r in self.rounds) / sum(r.taken_s * r.raw_per_s for r in self.rounds)

    @property
    def lowest_ratio(self) -> float:
        return min(r.ratio for r in self.rounds)

    @property
    def highest_ratio(self) -> float:
        return max(r.ratio for r in self.rounds)

    @property
    def p50_ms(self) -> float:
        return self._wait_ms(0.5)

    @property
    def p99_ms(self) -> float:
        return self._wait_ms(0.99)

    def _wait_ms(self, quantile: float) -> float:
        waits_ms = sorted(wait for r in self.rounds for wait in r.waits_ms)
        return waits_ms[int(len(waits_ms) * quantile)]


class _Bench:
    """A ledger with verifying processes, and money to move about."""

    def __init__(self, directory: Path, raw: _Raw) -> None:
        self._raw = raw
        self.governor = Governor.from_seed(_seed("governor"))
        self.network = self.governor.network
        self.bank, operator = SigningKey(_seed("bank")), SigningKey(_seed("operator"))
        self.identity = Identity(self.network, "bench", operator)
        store = SqliteStore.create(directory / "ledger.db")
        self.ledger = Ledger(store, self.identity, clock=lambda: NOW_S, verifier=verifiers.processes())
        self._do(self.governor.genesis("bench", "Operator", operator.public, Policy(), NOW_S))
        self._do(self.governor.admit_bank("altyn", self.bank.public, NOW_S))
        self.owners = [SigningKey(_seed(f"owner {i}")) for i in range(_OWNERS)]
        self.purses = [SigningKey(_seed(f"purse {i}")) for i in range(_OWNERS)]
        self.purse_certificates = self._enrol()
        self._nonce = 0

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def _do(self, raw: bytes) -> bytes:
        self.ledger.submit(raw).result()
        return decode(raw, self.network).id

    def _enrol(self) -> list[bytes]:
        common: dict[str, Any] = {"bank": "altyn", "issued_s": NOW_S, "expires_s": NOW_S + 10**8}
        limits, ids = PurseLimits(100_000_00, 20_000_00, 10, 5), []
        for i, (owner, purse) in enumerate(zip(self.owners, self.purses, strict=True)):
            mine = {**common, "subject": f"owner-{i}"}
            wallet = certificates.issue(self.bank, self.network, key=owner.public, **mine)
            offline = certificates.issue(
                self.bank, self.network, key=purse.public, limits=limits, online_key=owner.public, **mine
            )
            self._do(build(Kind.ENROL, Enrol((wallet, offline)), [self.bank], self.network))
            ids.append(certificates.unverified(offline, self.network)[0].id)
        return ids

    def _fund(self, count: int, amount_tiyn: int) -> list[tuple[bytes, int]]:
        """Fresh tokens, spread over the owners: (outpoint, owner number)."""
        tokens: list[tuple[bytes, int]] = []
        while len(tokens) < count:
            self._nonce += 1
            issued = self._do(self.governor.issue(self.bank.public, 250 * amount_tiyn, self._nonce.to_bytes(16, "big")))
            owners = [(len(tokens) + i) % _OWNERS for i in range(250)]
            outputs = tuple(Output(self.owners[owner].public, amount_tiyn, None) for owner in owners)
            body = Transfer((outpoint(issued, 0),), outputs, _UNTIL_S)
            made = self._do(build(Kind.TRANSFER, body, [self.bank], self.network))
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
        return self._rounds(messages, _ROUND)

    def _rounds(self, messages: list[bytes], size: int, each: int = 1) -> Throughput:
        """Hand messages in, ``size`` at a time, with a slice of raw verification between; ``each`` has so many hops."""
        rounds, before = [], self._raw.slice()
        even = -(-len(messages) // max(1, round(len(messages) / size)))  # no short round at the end
        for start in range(0, len(messages), even):
            part = messages[start : start + even]
            taken_s, waits_ms = self._drive(part, max(1, _WINDOW // each))
            after = self._raw.slice()
            rounds.append(Round(len(part) * each, taken_s, waits_ms, (before + after) / 2))
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
        return self._rounds(evidence, _ROUND_OF_HOPS // _EVIDENCE, _EVIDENCE)

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


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"tenge bench {name}".encode()).digest()
