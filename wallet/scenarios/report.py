"""The outcome of a scenario: balances, supply, forks, roots, and the invariants checked at the end."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import TengeError
from cbdc.log import checkpoint
from cbdc.offline.documents import TrustList
from cbdc.offline.fraud import verify_proof
from cbdc.service.audit import Verdict, verify_ledger
from cbdc.service.forks import ProvenFork, proven_forks
from cbdc.state.records import Supply
from cbdc.store.sqlite import SqliteStore
from wallet.balance import Balance
from wallet.scenarios.routes import Move, trace

if TYPE_CHECKING:
    from wallet.scenarios.economy import Economy
    from wallet.scenarios.runner import StepResult


@dataclass(frozen=True, slots=True)
class ForkReport:
    """A culprit purse: whose, what its further spends were worth and what is still owed (tiyn), and the outputs that it
    spent twice. Each spend of an output after its first counts with the whole value of the output."""

    by: str
    excess_tiyn: int
    owed_tiyn: int
    outputs: tuple[ProvenFork, ...]

    def to_json(self) -> dict[str, Any]:
        """``proof`` is the first output's; null if the purse passed on void tokens and forked nothing."""
        outputs = [
            {
                "outpoint": fork.outpoint.hex(),
                "amount": format_tenge(fork.amount_tiyn),
                "spends": [spend.hex() for spend in fork.spenders],
                "proof": base64.b64encode(fork.proof).decode(),
            }
            for fork in self.outputs
        ]
        proof = outputs[0]["proof"] if outputs else None
        sums = {"excess": format_tenge(self.excess_tiyn), "owed": format_tenge(self.owed_tiyn)}
        return {"by": self.by, **sums, "proof": proof, "outputs": outputs}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a reader of a scenario wants to know; `to_json` is the contract's form."""

    title: str
    steps: tuple[StepResult, ...]
    wallets: dict[str, dict[str, Any]]
    banks: dict[str, dict[str, str]]
    supply: Supply
    forks: tuple[ForkReport, ...]
    routes: tuple[Move, ...]
    root_key: bytes
    log_size: int
    log_root: bytes
    state_root: bytes
    receipts_verified: int
    signatures_verified: int
    invariants: dict[str, bool]

    @property
    def ok(self) -> bool:
        """Every step did what it says and every invariant held."""
        return all(step.ok for step in self.steps) and all(self.invariants.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "title": self.title,
            "steps": [_step_json(step) for step in self.steps],
            "wallets": self.wallets,
            "banks": self.banks,
            "supply": format_tenge(self.supply.issued_tiyn - self.supply.redeemed_tiyn),
            "issued": format_tenge(self.supply.issued_tiyn),
            "redeemed": format_tenge(self.supply.redeemed_tiyn),
            "forks": [fork.to_json() for fork in self.forks],
            "routes": [route.to_json() for route in self.routes],
            "root_key": self.root_key.hex(),
            "log_size": self.log_size,
            "log_root": self.log_root.hex(),
            "state_root": self.state_root.hex(),
            "invariants": self.invariants,
        }


def _step_json(step: StepResult) -> dict[str, Any]:
    line: dict[str, Any] = {"n": step.number, "do": step.do, "ok": step.ok}
    if step.code is not None:
        line["code"] = step.code
    return {**line, "detail": step.detail, "ms": round(step.ms, 3)}


def conclude(economy: Economy, results: list[StepResult], names: dict[bytes, str]) -> Report:
    """Read every balance, re-execute the whole log, verify every receipt and every proof of a fork.

    ``names`` are the scenario's names of payments, by payment id.
    """
    invariants, verdict = _invariants(economy)
    forks, proofs_hold = _forks(economy)
    receipts, receipts_hold = _receipts(economy)
    note = economy.queries.latest_checkpoint() or ""
    latest = checkpoint.verify(note, economy.identity.origin, economy.identity.operator.public)
    return Report(
        title=economy.scenario.title,
        steps=tuple(results),
        wallets=_wallets(economy),
        banks={name: _bank(economy, name) for name in economy.banks},
        supply=economy.queries.supply(),
        forks=forks,
        routes=_routes(economy, names),
        root_key=economy.governor.network,
        log_size=latest.size,
        log_root=latest.root,
        state_root=latest.state_root,
        receipts_verified=receipts,
        signatures_verified=verdict.signatures if verdict else 0,
        invariants={**invariants, "receipts": receipts_hold, "fraud_proofs": proofs_hold},
    )


def _invariants(economy: Economy) -> tuple[dict[str, bool], Verdict | None]:
    """Re-execution of the log from its bytes, and the laws that the final sums obey."""
    reader = SqliteStore.read(economy.ledger_path)
    try:
        verdict = verify_ledger(reader, economy.governor.network)
    except TengeError:
        return {"replay": False}, None
    finally:
        reader.close()
    return {"replay": True, **verdict.laws}, verdict


def _forks(economy: Economy) -> tuple[tuple[ForkReport, ...], bool]:
    """Every culprit with the proofs that hold under the root key alone, and whether all forks have one."""
    culprits = economy.queries.forks()
    proven: dict[bytes | None, list[ProvenFork]] = {culprit.purse_key: [] for culprit in culprits}
    reader = SqliteStore.read(economy.ledger_path)
    try:
        found = sorted(proven_forks(reader, economy.governor.network), key=lambda fork: fork.outpoint)
    except TengeError:
        found = []
    finally:
        reader.close()
    for fork in found:
        purse_key = _proven_culprit(fork, economy.governor.network)
        if purse_key in proven:
            proven[purse_key].append(fork)
    forks = tuple(
        ForkReport(
            economy.name_of(culprit.account),
            culprit.excess_tiyn,
            culprit.debt_tiyn,
            tuple(proven[culprit.purse_key]),
        )
        for culprit in culprits
    )
    return forks, sum(len(fork.outputs) for fork in forks) == economy.queries.forked_outputs()


def _proven_culprit(fork: ProvenFork, root_key: bytes) -> bytes | None:
    """The key of the purse against which the fork's proof holds; None if it proves nothing, or another fork."""
    try:
        proof = verify_proof(fork.proof, root_key)
    except TengeError:
        return None
    return proof.purse_key if fork.outpoint in proof.outpoints and proof.account == fork.account else None


def _routes(economy: Economy, names: dict[bytes, str]) -> tuple[Move, ...]:
    """The trees; none of a log that cannot be read, which the invariant ``replay`` reports."""
    reader = SqliteStore.read(economy.ledger_path)
    try:
        return trace(economy, reader, names)
    except TengeError:
        return ()
    finally:
        reader.close()


def _receipts(economy: Economy) -> tuple[int, bool]:
    identity = economy.identity
    count, hold = 0, True
    for device in economy.devices.values():
        for raw, receipt in device.wallet.receipts():
            try:
                receipt.verify(raw, identity.origin, identity.operator.public)
            except TengeError:
                hold = False
            count += 1
    return count, hold


def _wallets(economy: Economy) -> dict[str, dict[str, Any]]:
    """Every balance. Where the ledger denies a purse, or has seized of what is in it, that stands beside it."""
    trust_list = TrustList.verify(economy.port.trust_list(), economy.governor.network)
    wallets: dict[str, dict[str, Any]] = {}
    for name, device in economy.devices.items():
        key, balance = device.wallet.purse_key, economy.balance(name)
        wallets[name] = _wallet(economy, balance)
        if seized_tiyn := min(balance.offline_tiyn, economy.queries.seized_tiyn(key)):
            wallets[name]["seized"] = format_tenge(seized_tiyn)
        if economy.queries.certificate_of(key).id in trust_list.revoked:
            wallets[name]["revoked"] = True
    return wallets


def _wallet(economy: Economy, balance: Balance) -> dict[str, Any]:
    marked = {economy.purpose_name(purpose): format_tenge(tiyn) for purpose, tiyn in balance.marked.items()}
    return {
        "online": format_tenge(balance.online_tiyn),
        "offline": format_tenge(balance.offline_tiyn),
        "pending": format_tenge(balance.pending_tiyn),
        "marked": dict(sorted(marked.items())),
    }


def _bank(economy: Economy, name: str) -> dict[str, str]:
    reserve = economy.queries.reserve(name)
    return {
        "online": format_tenge(economy.bank(name).online_tiyn(economy.port)),
        "reserve": format_tenge(reserve.reserve_tiyn),
        "claims": format_tenge(reserve.claims_tiyn),
    }


# --- in words, for the terminal and the page ---------------------------------------------------


def describe_offline(wallet: dict[str, Any]) -> str:
    """What a wallet of a report has offline, and what of it is not its own any more."""
    text = show_tenge(parse_tenge(wallet["offline"]))
    if "seized" in wallet:
        text += f", of it seized {show_tenge(parse_tenge(wallet['seized']))}"
    return text + ("; purse revoked" if wallet.get("revoked") else "")


def describe_fork(fork: ForkReport) -> str:
    """Whose fork it is, what it is worth and what is still owed."""
    owed = f"{show_tenge(fork.owed_tiyn)} still owed" if fork.owed_tiyn else "nothing owed any more"
    return f"Fork by {fork.by}: {show_tenge(fork.excess_tiyn)} too much, {owed}"


FORK_MEANING: Final = (
    "Too much is the whole value of the token, for each spend of it after the first; what one payee took of it twice "
    "is the payee's to pay."
)
