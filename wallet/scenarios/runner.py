"""Plays a scenario: one function per step, then the invariants, then the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbdc.amounts import parse_tenge, show_tenge
from cbdc.errors import Malformed, TengeError
from cbdc.formats.lines import Line
from wallet.carriers import MemoryCarrier
from wallet.online import WAIT_FOR_S
from wallet.protocol import PaymentBundle
from wallet.scenarios import expectations
from wallet.scenarios.economy import Device, Economy
from wallet.scenarios.forging import forge
from wallet.scenarios.payments import Payment, Payments
from wallet.scenarios.report import Report, conclude
from wallet.scenarios.schema import Scenario, Step
from wallet.scenarios.setting import OneProcess, SettingMaker
from wallet.scenarios.values import span_of


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
    setting: SettingMaker = OneProcess,
) -> Report:
    """Play a scenario in an empty directory; the ledger and the wallets stay there.

    ``on_step`` is told of every step, ``on_payment`` gets the bytes of every offline PAYMENT that was emitted;
    ``setting`` says whether ledger and wallets run in this process or each in one of its own: the report is the same.

    Raises:
        TengeError: the economy itself could not be founded. A failing step is in the report instead.
    """
    economy = Economy.found(scenario, directory, setting)
    try:
        player = _Player(economy, on_payment)
        results = []
        for step in scenario.steps:
            result = player.run(step)
            results.append(result)
            if on_step:
                on_step(step, result)
        return conclude(economy, results, player.payments.names())
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
        self._lost: dict[str, set[str]] = {}

    def run(self, step: Step) -> StepResult:
        """One step, with its expected refusal if it has one."""
        started = time.perf_counter()
        before = self._value(step) if step.refused else None
        code, detail = None, ""
        try:
            self.economy.setting.rest()
            detail = _ACTIONS[step.do](self, step)
            ok = step.refused is None
            if not ok:
                detail = f"should have been refused with {step.refused}: {detail}"
        except TengeError as error:
            code, detail = error.code, str(error)
            ok = step.refused == error.code
        if ok and before is not None and before != self._value(step):
            ok, detail = False, f"refused, but value moved: {detail}"
        return StepResult(step.number, step.do, ok, code, detail, (time.perf_counter() - started) * 1000)

    def _value(self, step: Step) -> object:
        """Where all value is: what a refused step must not change.

        A sync may be refused a part of its evidence while the rest counts, and what a careless purse believed is
        gone from it: then only the supply must stay as it was.
        """
        supply = self.economy.queries.supply()
        if step.do == "sync":
            return supply
        holdings = {name: device.wallet.holdings() for name, device in self.economy.devices.items()}
        held = {name: found.offline_tiyn + found.pending_tiyn for name, found in holdings.items()}
        return held, supply, self.economy.queries.latest_checkpoint()

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
        self.economy.bank(step.text("from")).fund(self.economy.port, payee.wallet.online_key, step.amount_tiyn())
        return f"{step.text('from')} hands {_show(step)} to {payee.name}"

    def reserve(self, step: Step) -> str:
        self.economy.bank(step.text("bank")).top_up(self.economy.port, step.amount_tiyn())
        return f"{step.text('bank')} sets {_show(step)} aside"

    def grant(self, step: Step) -> str:
        sponsor, payee = self.economy.device(step.text("from")), self.economy.device(step.text("to"))
        purpose = self.economy.purpose(step.text("purpose")) or b""
        sponsor.wallet.grant(payee.wallet.online_key, step.amount_tiyn(), purpose)
        return f"{sponsor.name} grants {_show(step)} for {step.text('purpose')} to {payee.name}"

    # --- paying --------------------------------------------------------------------------------

    def pay(self, step: Step) -> str:
        payer, payee = self.economy.device(step.text("from")), self.economy.device(step.text("to"))
        what = self._forgeries.pop(payer.name, None)
        lost = self._lost.pop(str(step.fields.get("as")), set())
        is_online = what is None and payer.is_connected and payee.is_connected
        if is_online and lost:
            raise Malformed("a payment on the ledger has no such message", found=", ".join(sorted(lost)))
        try:
            return (
                self._pay_online(step, payer, payee) if is_online else self._pay_offline(step, payer, payee, what, lost)
            )
        except TengeError:
            self.payments.note_refused(step, Payment(payer.name, payee.name, step.amount_tiyn()))
            raise

    def _pay_online(self, step: Step, payer: Device, payee: Device) -> str:
        purpose, lines = self.economy.purpose(step.fields.get("purpose")), _lines(step)
        request = payee.wallet.request(step.amount_tiyn(), lines) if lines else None
        wait_s = span_of(step.text("wait")) if "wait" in step.fields else WAIT_FOR_S
        key, amount_tiyn = payee.wallet.online_key, step.amount_tiyn()
        entry, payment_id = payer.wallet.pay_online(key, amount_tiyn, purpose, request, wait_s)
        payee.wallet.look()
        self.payments.note(step, Payment(payer.name, payee.name, amount_tiyn, online_id=payment_id))
        waits = self.economy.queries.waiting_payment(payment_id) is not None
        said = f"{payer.name} pays {payee.name} {_show(step)} on the ledger, entry {entry}"
        return f"{said}; it waits" if waits else said

    def _pay_offline(self, step: Step, payer: Device, payee: Device, what: str | None, lost: set[str]) -> str:
        invoice = payee.wallet.invoice(step.amount_tiyn(), _lines(step))
        if "invoice" in lost:
            return f"{payee.name}'s invoice never arrives: nothing is paid"
        invoice = _carried(invoice)
        payer.wallet.hear(_carried(payee.wallet.trust_list_raw()))
        if what is None:
            bundle = payer.wallet.pay(invoice, self.economy.purpose(step.fields.get("purpose")))
        else:
            bundle = self._forged(payer, invoice, what)
        if what is None:
            self._note_offline(step, payer, payee, bundle)
            if self._on_payment:
                self._on_payment(bundle)
        if "payment" in lost:
            return f"{payer.name} pays {payee.name} {_show(step)}, but the payment never arrives"
        payee.wallet.hear(_carried(payer.wallet.trust_list_raw()))
        receipt = payee.wallet.accept(_carried(bundle))
        if what is not None:
            self._note_offline(step, payer, payee, bundle)
            return f"{payee.name} took a forged payment ({what})"
        if "receipt" in lost:
            return f"{payer.name} pays {payee.name} {_show(step)}, but the receipt never arrives"
        payer.wallet.finish(self.payments.id_of(bundle), _carried(receipt))
        hop = self.payments.terms_of(bundle).hop
        return f"{payer.name} pays {payee.name} {_show(step)} offline, hop {hop}, {len(bundle)} bytes"

    def _note_offline(self, step: Step, payer: Device, payee: Device, bundle: bytes) -> None:
        payment_id, raw = self.payments.id_of(bundle), PaymentBundle.decode(bundle).payment
        self.payments.note(step, Payment(payer.name, payee.name, step.amount_tiyn(), payment_id, raw))

    # --- purposes ------------------------------------------------------------------------------

    def evidence(self, step: Step) -> str:
        oracle, fact, named = step.text("oracle"), step.text("fact"), step.text("about")
        about = self.payments.id_named(named) if self.payments.has(named) else self.economy.account(named)
        self.economy.attest(oracle, fact, about)
        return f"{oracle} states of {named}: {fact}"

    def approve(self, step: Step) -> str:
        self.economy.approve(step.text("by"), self.payments.id_named(step.text("payment")))
        return f"{step.text('by')} approves {step.text('payment')}: {self.payments.status(step.text('payment'))}"

    def refund(self, step: Step) -> str:
        payment = self.payments.named(step.text("payment"))
        payee = self.economy.device(payment.payee)
        amount_tiyn = step.amount_tiyn() if "amount" in step.fields else None
        payee.wallet.refund(self.payments.id_named(step.text("payment")), amount_tiyn)
        return f"{payment.payee} refunds {payment.payer} under the marks that {step.text('payment')} bore"

    def allow(self, step: Step) -> str:
        sponsor, device = self.economy.device(step.text("from")), self.economy.device(step.text("to"))
        purpose = self.economy.purpose(step.text("purpose")) or b""
        self.economy.allow(sponsor, device, purpose, step.amount_tiyn())
        return f"{sponsor.name} allows {device.name} {_show(step)} of {step.text('purpose')} without asking the ledger"

    def recall(self, step: Step) -> str:
        sponsor, device = self.economy.device(step.text("from")), self.economy.wallet(step.text("wallet"))
        purpose = self.economy.purpose(step.text("purpose")) or b""
        taken_tiyn = self.economy.recall(sponsor, device, purpose, step.text("reference"))
        return f"{show_tenge(taken_tiyn)} of {step.text('purpose')} are recalled from {device.name}"

    def lose_message(self, step: Step) -> str:
        name, message = step.text("payment"), step.text("message")
        self._lost.setdefault(name, set()).add(message)
        return f"the {message} of {name} will never arrive"

    def resend(self, step: Step) -> str:
        payment, payment_id = self.payments.offline_payment(step.text("payment"))
        payer, payee = self.economy.device(payment.payer), self.economy.device(payment.payee)
        bundle = payer.wallet.again(payment_id)
        receipt = payee.wallet.accept(_carried(bundle))
        payer.wallet.finish(payment_id, _carried(receipt))
        return f"{payer.name} shows {payee.name} the same {len(bundle)} bytes again"

    def release(self, step: Step) -> str:
        payment, payment_id = self.payments.offline_payment(step.text("payment"))
        payer, payee = self.economy.device(payment.payer), self.economy.device(payment.payee)
        released = payee.wallet.release(payment_id)
        payer.wallet.hear(_carried(payee.wallet.trust_list_raw()))
        payer.wallet.take_back(_carried(released))
        return f"{payee.name} signs {show_tenge(payment.amount_tiyn)} back to {payer.name}"

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
        device.wallet.load(step.amount_tiyn(), purpose)
        return f"{device.name} loads {_show(step)} into the purse"

    def unload(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        purpose = self.economy.purpose(step.fields.get("purpose"))
        device.wallet.unload(step.amount_tiyn(), purpose)
        return f"{device.name} unloads {_show(step)} from the purse"

    def repay(self, step: Step) -> str:
        device = self.economy.wallet(step.text("wallet"))
        owing = self._owing(device)
        device.wallet.repay(owing, step.amount_tiyn())
        return f"{device.name} pays {_show(step)} of its debt"

    def _owing(self, device: Device) -> bytes:
        """The purse of a wallet that owes, an earlier one of it too; its own where none does."""
        keys = [*device.wallet.retired_keys(), device.wallet.purse_key]
        owing = {fork.purse_key for fork in self.economy.queries.forks() if fork.debt_tiyn}
        return next((key for key in keys if key in owing), device.wallet.purse_key)

    def new_purse(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        self.economy.replace_purse(device)
        return f"{device.name} has a new secure element, certified by {device.spec.bank}"

    # --- network -------------------------------------------------------------------------------

    def offline(self, step: Step) -> str:
        return self._switch(step, connected=False)

    def online(self, step: Step) -> str:
        return self._switch(step, connected=True)

    def _switch(self, step: Step, *, connected: bool) -> str:
        for name in step.names("wallets"):
            device = self.economy.device(name)
            if connected:
                self.economy.connect(device)
            else:
                self.economy.cut(device)
        return f"{', '.join(step.names('wallets'))}: network {'back' if connected else 'cut'}"

    def sync(self, step: Step) -> str:
        reports, refusals = [], []
        for name in step.names("wallets"):
            device = self.economy.device(name)
            report = device.wallet.sync()
            device.wallet.look()
            refusals += [error for _, error in report.refusals]
            extra = f", {report.disputed} disputed" if report.disputed else ""
            extra += "".join(f", refused: {code}" for code in sorted({code for _, code in report.refused}))
            reports.append(f"{name} sends {report.sent}, holds {show_tenge(report.offline_tiyn)}{extra}")
        for error in refusals:
            if error.code == step.refused:
                raise error
        return "; ".join(reports)

    # --- devices -------------------------------------------------------------------------------

    def backup(self, step: Step) -> str:
        device, label = self.economy.device(step.text("wallet")), step.text("as")
        self._backups[label] = self.economy.directory / "backups" / label
        self.economy.copy_device(device, self._backups[label], element=False)
        return f"{device.name}'s storage is backed up as {label}; its secure element's is not"

    def restore(self, step: Step) -> str:
        device, label = self.economy.device(step.text("wallet")), step.text("to")
        if label not in self._backups:  # the step that was to make it failed
            raise Malformed("no such backup", found=label)
        device.wallet.close()
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

    def careless(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        self.economy.make_careless(device)
        return f"{device.name} accepts what it should refuse, from now on"

    def lose(self, step: Step) -> str:
        device = self.economy.device(step.text("wallet"))
        device.is_lost = True
        return f"{device.name} is gone for good, and nobody told the bank"

    def freeze(self, step: Step) -> str:
        return self._deny(step, "reported lost or stolen by its owner")

    def revoke(self, step: Step) -> str:
        return self._deny(step, "revoked by its bank")

    def _deny(self, step: Step, reason: str) -> str:
        wallet = self.economy.wallet(step.text("wallet"))
        desk = self.economy.bank(wallet.spec.bank)
        desk.revoke(self.economy.port, wallet.wallet.purse_key, reason)
        return f"{wallet.name}'s purse is on the deny-list: {reason}"

    # --- time, faults, expectations --------------------------------------------------------------

    def advance(self, step: Step) -> str:
        swept = self.economy.advance(span_of(step.text("by")))
        return f"{step.text('by')} pass" + (f", {swept} tokens fall due" if swept else "")

    def skew(self, step: Step) -> str:
        device, by = self.economy.device(step.text("wallet")), step.text("by")
        back = by.startswith("-")
        device.clock.skew_s += span_of(by.removeprefix("-")) * (-1 if back else 1)
        return f"{device.name}'s clock is set {by.removeprefix('-')} {'back' if back else 'ahead'}"

    def crash(self, step: Step) -> str:
        at = step.text("at")
        self.economy.setting.crash_next(at)
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
    "evidence": _Player.evidence,
    "approve": _Player.approve,
    "refund": _Player.refund,
    "allow": _Player.allow,
    "recall": _Player.recall,
    "lose_message": _Player.lose_message,
    "resend": _Player.resend,
    "release": _Player.release,
    "load": _Player.load,
    "repay": _Player.repay,
    "unload": _Player.unload,
    "new_purse": _Player.new_purse,
    "offline": _Player.offline,
    "online": _Player.online,
    "sync": _Player.sync,
    "backup": _Player.backup,
    "restore": _Player.restore,
    "clone": _Player.clone,
    "tamper": _Player.tamper,
    "careless": _Player.careless,
    "lose": _Player.lose,
    "freeze": _Player.freeze,
    "revoke": _Player.revoke,
    "advance": _Player.advance,
    "skew": _Player.skew,
    "crash": _Player.crash,
    "expect": _Player.expect,
}
STEPS: Final = tuple(_ACTIONS)


def _carried(message: bytes) -> bytes:
    """Between two devices only bytes cross."""
    carrier = MemoryCarrier()
    carrier.send(message)
    return carrier.receive()


def _show(step: Step) -> str:
    return show_tenge(step.amount_tiyn())


def _lines(step: Step) -> tuple[Line, ...]:
    return tuple(Line(item["category"], parse_tenge(item["amount"])) for item in step.fields.get("items", []))
