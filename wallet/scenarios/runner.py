"""Plays a scenario: one function per step, then the invariants, then the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbdc.amounts import parse_tenge, show_tenge
from cbdc.errors import Malformed, TengeError
from wallet.carriers import MemoryCarrier
from wallet.protocol import Line
from wallet.scenarios import expectations
from wallet.scenarios.economy import Device, Economy
from wallet.scenarios.forging import forge
from wallet.scenarios.payments import Payment, Payments
from wallet.scenarios.report import Report, conclude
from wallet.scenarios.schema import Scenario, Step, span_of


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step went: whether it did what the scenario says, the error code if it was refused, and in words."""

    number: int
    do: str
    ok: bool
    code: str | None
    detail: str
    ms: float


OnStep = Callable[[Step, StepResult], None]


def play(
    scenario: Scenario,
    directory: Path,
    on_step: OnStep | None = None,
    on_payment: Callable[[bytes], None] | None = None,
) -> Report:
    """Play a scenario in an empty directory; the ledger and the wallets stay there.

    ``on_step`` is told of every step, ``on_payment`` gets the bytes of every offline PAYMENT that was emitted.

    Raises:
        TengeError: the economy itself could not be founded. A failing step is in the report instead.
    """
    economy = Economy.found(scenario, directory)
    try:
        player = _Player(economy, on_payment)
        results = []
        for step in scenario.steps:
            result = player.run(step)
            results.append(result)
            if on_step:
                on_step(step, result)
        return conclude(economy, results)
    finally:
        economy.close()


class _Player:
    """Carries out steps; keeps what later steps refer to."""

    def __init__(self, economy: Economy, on_payment: Callable[[bytes], None] | None) -> None:
        self.economy = economy
        self._on_payment = on_payment
        self.payments = Payments(economy)
        self._forgeries: dict[str, str] = {}
        self._backups: dict[str, Path] = {}

    def run(self, step: Step) -> StepResult:
        """One step, with its expected refusal if it has one."""
        started = time.perf_counter()
        before = self._value() if step.refused else None
        code, detail = None, ""
        try:
            action = _ACTIONS.get(step.do)
            if action is None:
                raise Malformed("this step is not there yet", found=step.do)
            detail = action(self, step)
            ok = step.refused is None
            if not ok:
                detail = f"should have been refused with {step.refused}: {detail}"
        except TengeError as error:
            code, detail = error.code, str(error)
            ok = step.refused == error.code
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            code, detail = Malformed.code, f"a field of this step has another form: {error!r}"
            ok = step.refused == code
        if ok and before is not None and before != self._value():
            ok, detail = False, f"refused, but value moved: {detail}"
        return StepResult(step.number, step.do, ok, code, detail, (time.perf_counter() - started) * 1000)

    def _value(self) -> object:
        """Where all value is: what a refused step must not change."""
        purses = {name: d.customer.purse for name, d in self.economy.devices.items()}
        held = {name: purse.balance_tiyn() + purse.pending_tiyn() for name, purse in purses.items()}
        return held, self.economy.queries.supply(), self.economy.queries.latest_checkpoint()

    # --- money ---------------------------------------------------------------------------------

    def issue(self, step: Step) -> str:
        self.economy.issue(step.text("to"), step.amount_tiyn())
        return f"the governor issues {_show(step)} to {step.text('to')}"

    def redeem(self, step: Step) -> str:
        desk = self.economy.bank(step.text("from"))
        desk.redeem(self.economy.port, self.economy.governor, step.amount_tiyn())
        return f"{desk.name} redeems {_show(step)}"

    def fund(self, step: Step) -> str:
        payee = self.economy.device(step.text("to"))
        self.economy.bank(step.text("from")).fund(self.economy.port, payee.customer.key.public, step.amount_tiyn())
        return f"{step.text('from')} hands {_show(step)} to {payee.name}"

    def reserve(self, step: Step) -> str:
        self.economy.bank(step.text("bank")).top_up(self.economy.port, step.amount_tiyn())
        return f"{step.text('bank')} sets {_show(step)} aside"

    def grant(self, step: Step) -> str:
        sponsor, payee = self.economy.device(step.text("from")), self.economy.device(step.text("to"))
        purpose = self.economy.purpose(step.text("purpose")) or b""
        sponsor.customer.grant(sponsor.switch.port(), payee.customer.key.public, step.amount_tiyn(), purpose)
        return f"{sponsor.name} grants {_show(step)} for {step.text('purpose')} to {payee.name}"

    # --- paying --------------------------------------------------------------------------------

    def pay(self, step: Step) -> str:
        payer, payee = self.economy.device(step.text("from")), self.economy.device(step.text("to"))
        if step.fields.get("privacy", "open") != "open":
            raise Malformed("this privacy level is not there yet", found=str(step.fields["privacy"]))
        what = self._forgeries.pop(payer.name, None)
        if what is None and payer.switch.is_connected and payee.switch.is_connected:
            return self._pay_online(step, payer, payee)
        return self._pay_offline(step, payer, payee, what)

    def _pay_online(self, step: Step, payer: Device, payee: Device) -> str:
        purpose = self.economy.purpose(step.fields.get("purpose"))
        key = payee.customer.key.public
        receipt = payer.customer.pay(payer.switch.port(), key, step.amount_tiyn(), purpose=purpose)
        payee.customer.look(payee.switch.port())
        self.payments.note(step, Payment(payer.name, payee.name, step.amount_tiyn(), online_entry=receipt.index))
        return f"{payer.name} pays {payee.name} {_show(step)} on the ledger, entry {receipt.index}"

    def _pay_offline(self, step: Step, payer: Device, payee: Device, what: str | None) -> str:
        there, back = MemoryCarrier(), MemoryCarrier()
        payer_purse, payee_purse = payer.customer.purse, payee.customer.purse
        back.send(payee_purse.invoice(step.amount_tiyn(), _lines(step)))
        invoice = back.receive()
        if what is not None:
            there.send(self._forged(payer, invoice, what))
            payee_purse.accept(there.receive())
            return f"{payee.name} took a forged payment ({what})"
        bundle = payer_purse.pay(invoice, self.economy.purpose(step.fields.get("purpose")))
        payment_id = self.payments.id_of(bundle)
        self.payments.note(step, Payment(payer.name, payee.name, step.amount_tiyn(), payment_id))
        if self._on_payment:
            self._on_payment(bundle)
        there.send(bundle)
        back.send(payee_purse.accept(there.receive()))
        payer_purse.finish(payment_id, back.receive())
        terms = self.payments.terms_of(bundle)
        return f"{payer.name} pays {payee.name} {_show(step)} offline, hop {terms.hop}, {len(bundle)} bytes"

    def _forged(self, payer: Device, invoice: bytes, what: str) -> bytes:
        copies = self.economy.directory / "forgeries"
        directory = copies / f"{payer.name}-{len(list(copies.glob('*')))}"
        copy, key = self.economy.open_copy(payer, directory)
        try:
            return forge(copy, key, invoice, what)
        finally:
            copy.close()

    def load(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        purpose = self.economy.purpose(step.fields.get("purpose"))
        device.customer.load(device.switch.port(), step.amount_tiyn(), purpose)
        return f"{device.name} loads {_show(step)} into the purse"

    def unload(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        purpose = self.economy.purpose(step.fields.get("purpose"))
        device.customer.unload(device.switch.port(), step.amount_tiyn(), purpose)
        return f"{device.name} unloads {_show(step)} from the purse"

    # --- network -------------------------------------------------------------------------------

    def offline(self, step: Step) -> str:
        return self._switch(step, connected=False)

    def online(self, step: Step) -> str:
        return self._switch(step, connected=True)

    def _switch(self, step: Step, *, connected: bool) -> str:
        for name in step.names("wallets"):
            self.economy.device(name).switch.is_connected = connected
        return f"{', '.join(step.names('wallets'))}: network {'back' if connected else 'cut'}"

    def sync(self, step: Step) -> str:
        reports = []
        for name in step.names("wallets"):
            device = self.economy.device(name)
            report = device.customer.sync(device.switch.port())
            device.customer.look(device.switch.port())
            extra = f", {report.disputed} disputed" if report.disputed else ""
            reports.append(f"{name} sends {report.sent}, holds {show_tenge(report.offline_tiyn)}{extra}")
        return "; ".join(reports)

    # --- devices -------------------------------------------------------------------------------

    def backup(self, step: Step) -> str:
        device, label = self.economy.device(step.text("wallet")), step.text("as")
        self._backups[label] = self.economy.directory / "backups" / label
        self.economy.copy_device(device, self._backups[label], element=False)
        return f"{device.name}'s storage is backed up as {label}; its secure element's is not"

    def restore(self, step: Step) -> str:
        device, label = self.economy.device(step.text("wallet")), step.text("to")
        if label not in self._backups:
            raise Malformed("no such backup", found=label)
        device.customer.close()
        for suffix in ("", "-wal", "-shm"):
            (device.directory / f"wallet.db{suffix}").unlink(missing_ok=True)
        (device.directory / "wallet.db").write_bytes((self._backups[label] / "wallet.db").read_bytes())
        self.economy.reopen(device)
        return f"{device.name}'s storage is rolled back to {label}"

    def clone(self, step: Step) -> str:
        self.economy.clone(step.text("wallet"), step.text("as"))
        return f"{step.text('wallet')} is cloned as {step.text('as')}"

    def tamper(self, step: Step) -> str:
        self._forgeries[self.economy.device(step.text("wallet")).name] = step.text("what")
        return f"{step.text('wallet')}'s next payment will be forged: {step.text('what')}"

    def revoke(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        desk = self.economy.bank(device.spec.bank)
        desk.revoke(self.economy.port, device.customer.element.public_key, f"scenario: {step.do}")
        return f"{device.name}'s purse is on the deny-list"

    # --- time, faults, expectations --------------------------------------------------------------

    def advance(self, step: Step) -> str:
        swept = self.economy.advance(span_of(step.text("by")))
        return f"{step.text('by')} pass" + (f", {swept} tokens fall due" if swept else "")

    def crash(self, step: Step) -> str:
        at = step.text("at")
        if at not in ("before_commit", "after_commit"):
            raise Malformed("a crash is before_commit or after_commit", found=at)
        self.economy.crash_point.armed = at
        return f"the ledger will die {at.replace('_', ' ')} in the next step and be started again"

    def expect(self, step: Step) -> str:
        return expectations.check(self.economy, self.payments, step)


_ACTIONS: Final[dict[str, Callable[[_Player, Step], str]]] = {
    "issue": _Player.issue,
    "redeem": _Player.redeem,
    "fund": _Player.fund,
    "reserve": _Player.reserve,
    "grant": _Player.grant,
    "pay": _Player.pay,
    "load": _Player.load,
    "unload": _Player.unload,
    "offline": _Player.offline,
    "online": _Player.online,
    "sync": _Player.sync,
    "backup": _Player.backup,
    "restore": _Player.restore,
    "clone": _Player.clone,
    "tamper": _Player.tamper,
    "freeze": _Player.revoke,
    "revoke": _Player.revoke,
    "advance": _Player.advance,
    "crash": _Player.crash,
    "expect": _Player.expect,
}
STEPS: Final = tuple(_ACTIONS)


def _show(step: Step) -> str:
    return show_tenge(step.amount_tiyn())


def _lines(step: Step) -> tuple[Line, ...]:
    items = step.fields.get("items", [])
    if not isinstance(items, list):
        raise Malformed(f"step {step.number}: items is a list")
    return tuple(Line(str(item["category"]), parse_tenge(str(item["amount"]))) for item in items)
