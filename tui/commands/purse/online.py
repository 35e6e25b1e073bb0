"""`tenge purse load`, `unload` and `sync`: in touch with a ledger that `tenge ledger serve` runs."""

from __future__ import annotations

from rich.table import Table

from cbdc.amounts import format_tenge, show_tenge
from cbdc.log.receipts import Receipt
from tui.clock import At
from tui.commands.purse.session import Amount, LedgerSocket, Purpose, WalletPath, amount_of, connected, opened
from tui.output import Json, out, print_json
from wallet import trade
from wallet.customer import Customer, SyncReport


def load(
    wallet: WalletPath,
    amount: Amount,
    ledger: LedgerSocket,
    purpose: Purpose = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Move online money into the purse, where it can be spent without a network.

    Examples:
        tenge purse load ./aigerim 5000 --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        customer.purse.learn(port.trust_list(), port.policy(), port.purposes())
        receipt = customer.load(port, amount_of(amount), trade.purpose_named(customer.purse, purpose))
        _show_moved("loaded", customer, amount, receipt, as_json)


def unload(
    wallet: WalletPath,
    amount: Amount,
    ledger: LedgerSocket,
    purpose: Purpose = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Move money out of the purse, back to the ledger; the rest is renewed as in a sync.

    Examples:
        tenge purse unload ./timur 250 --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        receipt = customer.unload(port, amount_of(amount), trade.purpose_named(customer.purse, purpose))
        _show_moved("unloaded", customer, amount, receipt, as_json)


def sync(wallet: WalletPath, ledger: LedgerSocket, at: At = None, as_json: Json = False) -> None:
    """Exchange everything with the ledger: payments, outcomes, the trust list, fresh tokens.

    The exit status is 0 also if the ledger refused some payments; the report says which and why.

    Examples:
        tenge purse sync ./aigerim --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        report = customer.sync(port)
        customer.look(port)
        if as_json:
            print_json(_facts(report))
            return
        out.print(
            f"sent {report.sent}, settled {report.settled}, refused {len(report.refusals)}, "
            f"disputed {report.disputed}; the purse holds {show_tenge(report.offline_tiyn)}"
        )
        if report.waiting_tiyn:
            out.print(f"{show_tenge(report.waiting_tiyn)} are signed away and wait for the ledger's decision")
        if report.refusals:
            table = Table("payment", "refused as", "because", title="Refused by the ledger")
            for payment_id, error in report.refusals:
                table.add_row(payment_id.hex(), error.code, error.message)
            out.print(table)


def _facts(report: SyncReport) -> dict[str, object]:
    return {
        "ok": True,
        "sent": report.sent,
        "settled": report.settled,
        "refused": [{"payment": payment_id.hex(), "error": error.to_json()} for payment_id, error in report.refusals],
        "disputed": report.disputed,
        "offline": format_tenge(report.offline_tiyn),
        "waiting": format_tenge(report.waiting_tiyn),
    }


def _show_moved(verb: str, customer: Customer, amount: str, receipt: Receipt, as_json: bool) -> None:
    moved_tiyn, held_tiyn = amount_of(amount), customer.purse.balance_tiyn()
    if as_json:
        facts = {"ok": True, "amount": format_tenge(moved_tiyn), "entry": receipt.index}
        print_json(facts | {"offline": format_tenge(held_tiyn)})
    else:
        out.print(f"{verb} {show_tenge(moved_tiyn)}, entry {receipt.index}; the purse holds {show_tenge(held_tiyn)}")
