"""The benchmark behind `tenge bench`. Every rate stands beside raw verification measured in the same run.

Transfers are distinct, go through `Ledger.submit` as bytes, are committed with full synchronisation, and every
receipt is verified afterwards.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import segno

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
from wallet.protocol import to_text
from wallet.scenarios import runner, schema

NOW_S: Final = 1_788_000_000
_UNTIL_S: Final = NOW_S + 86_400
_RAW_SECONDS: Final = 1.0
_OWNERS: Final = 64
_WINDOW: Final = 4_000
"""Messages that the bench keeps waiting for their receipts, as many concurrent clients would."""

_EVIDENCE: Final = 250
Report = Callable[[str], None]
Figures = dict[str, dict[str, float | int]]


def run(directory: Path, transfers: int, report: Report) -> Figures:
    """All figures, grouped as in the JSON output."""
    report("raw signature verification")
    raw = _raw()
    report("durable transfers, one signature each")
    with _Bench(directory / "one") as bench:
        one = bench.transfers(transfers, inputs=1, outputs=1)
        report("durable transfers with change")
        change = bench.transfers(max(500, transfers // 2), inputs=1, outputs=2)
        report("durable transfers, two inputs by two owners")
        two = bench.transfers(max(500, transfers // 2), inputs=2, outputs=2)
        report("reconciled hops")
        hops_per_s = bench.reconcile(max(500, transfers // 4))
    report("offline payloads")
    all_cores = raw["verify_per_s_all_cores"]
    return {
        "raw": raw,
        "ledger": {
            "transfers_per_s": one.per_s,
            "ratio": one.per_s / all_cores,
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
            "one_in_two_out_per_s": change.per_s,
            "one_in_two_out_ratio": change.per_s / all_cores,
            "two_in_two_out_per_s": two.per_s,
            "two_in_two_out_ratio": 2 * two.per_s / all_cores,
        },
        "reconcile": {"hops_per_s": hops_per_s, "ratio": hops_per_s / all_cores},
        "payload": _payloads(directory / "payloads"),
    }


# --- raw verification --------------------------------------------------------------------------


def _raw() -> dict[str, float | int]:
    """Strict Ed25519 verifications per second: one thread, and the better of threads and processes on all cores."""
    cores = os.cpu_count() or 1
    one = _verify_for(_RAW_SECONDS) / _RAW_SECONDS
    counts = [0] * cores

    def work(slot: int) -> None:
        counts[slot] = _verify_for(_RAW_SECONDS)

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with multiprocessing.get_context("forkserver").Pool(cores) as pool:
        pool.map(_verify_for, [0.05] * cores)
        in_processes = sum(pool.map(_verify_for, [_RAW_SECONDS] * cores, chunksize=1))
    best = max(sum(counts), in_processes) / _RAW_SECONDS
    return {"verify_per_s_one_thread": one, "verify_per_s_all_cores": best}


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
class Throughput:
    """Receipts per second, and the time from submit to receipt."""

    per_s: float
    p50_ms: float
    p99_ms: float


class _Bench:
    """A ledger with verifying processes, and money to move about."""

    def __init__(self, directory: Path) -> None:
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
        return self._drive(messages)

    def _drive(self, messages: list[bytes]) -> Throughput:
        """Submit with a window of waiting clients; then verify every receipt."""
        window = threading.Semaphore(_WINDOW)
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
        taken_s = max(answered_s) - started_s
        for raw, receipt in zip(messages, receipts, strict=True):
            receipt.verify(raw, self.identity.origin, self.identity.operator.public)
        waits_ms = sorted((a - s) * 1000 for a, s in zip(answered_s, submitted_s, strict=True))
        return Throughput(len(messages) / taken_s, waits_ms[len(waits_ms) // 2], waits_ms[int(len(waits_ms) * 0.99)])

    def reconcile(self, count: int) -> float:
        """One-hop payments between purses, handed in as evidence in groups; hops per second."""
        payments = [self._offline_payment(name, owner) for name, owner in self._load(count)]
        groups = [tuple(payments[start : start + _EVIDENCE]) for start in range(0, len(payments), _EVIDENCE)]
        messages = [build(Kind.RECONCILE, Reconcile(group), [], self.network) for group in groups]
        started_s = time.perf_counter()
        answers = [self.ledger.submit(raw) for raw in messages]
        for answer in answers:
            answer.result()
        return len(payments) / (time.perf_counter() - started_s)

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


# --- offline payloads --------------------------------------------------------------------------


def _payloads(directory: Path) -> dict[str, float | int]:
    """Length and QR version (error correction L) of a one-hop and a three-hop PAYMENT with real purses."""
    sizes: dict[str, float | int] = {}
    for hops in (1, 3):
        text = to_text(_payment_after(directory / str(hops), hops))
        code = segno.make(text, error="l", micro=False, boost_error=False)
        sizes |= {f"hop{hops}_bytes": len(text), f"hop{hops}_qr_version": int(code.version)}
    return sizes


def _payment_after(directory: Path, hops: int) -> bytes:
    """The PAYMENT of the last of so many hops; the first spends two loaded tokens, each hop gives change."""
    names = [f"wallet-{i}" for i in range(hops + 1)]
    steps: list[dict[str, Any]] = [
        {"do": "issue", "to": "altyn", "amount": "10 000"},
        {"do": "fund", "from": "altyn", "to": names[0], "amount": "6 000"},
        {"do": "load", "wallet": names[0], "amount": "1 500"},
        {"do": "load", "wallet": names[0], "amount": "1 500"},
        {"do": "offline", "wallets": names},
    ]
    for hop in range(hops):
        amount = str(2_000 - 100 * hop)
        steps.append({"do": "pay", "from": names[hop], "to": names[hop + 1], "amount": amount})
    scenario = schema.parse(
        {
            "title": f"{hops} hops",
            "bank": [{"name": "altyn"}],
            "wallet": [{"name": name, "bank": "altyn"} for name in names],
            "step": steps,
        }
    )
    bundles: list[bytes] = []
    runner.play(scenario, directory, on_payment=bundles.append)
    return bundles[-1]


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"tenge bench {name}".encode()).digest()
