"""`tenge purse load`, `unload`, `sync` and `repay`: in touch with a ledger that `tenge ledger serve` runs."""

from __future__ import annotations

from rich.table import Table

from cbdc.amounts import format_tenge, show_tenge
from cbdc.log.receipts import Receipt
from tui.clock import At
from tui.commands.purse.session import Amount, LedgerSocket, Purpose, WalletPath, amount_of, connected, opened
from tui.output import Json, out, print_json
from wallet import standing, trade
from wallet.customer import Customer
from wallet.standing import News, Standing


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
    """Exchange everything with the ledger: payments, outcomes, the trust list, fresh tokens; tell what is new.

    The exit status is 0 also if the ledger refused some payments; the report says which and why.

    Examples:
        tenge purse sync ./aigerim --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        news = standing.sync(customer, port)
        stands = standing.standing_of(customer, port)
        if as_json:
            print_json(_facts(news, stands))
            return
        report = news.report
        out.print(
            f"handed in {report.sent}; since the last sync settled: {news.sent_settled} sent, "
            f"{news.received_settled} received; refused {len(report.refusals)}, disputed {news.disputed}; "
            f"the purse holds {show_tenge(report.offline_tiyn)}",
            soft_wrap=True,
        )
        show_standing(stands)
        if report.waiting_tiyn:
            out.print(f"{show_tenge(report.waiting_tiyn)} are signed away and wait for the ledger's decision")
        if report.refusals:
            table = Table("payment", "refused as", "because", title="Refused by the ledger")
            for payment_id, error in report.refusals:
                table.add_row(payment_id.hex(), error.code, error.message)
            out.print(table)


def repay(
    wallet: WalletPath,
    amount: Amount,
    ledger: LedgerSocket,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Pay towards what the account owes for a fork, with free online money; an earlier purse of it may be the debtor.

    When nothing is owed any more, the bank may certify a new purse.

    Examples:
        tenge purse repay ./dana 250 --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        paid_tiyn = amount_of(amount)
        receipt = standing.repay(customer, port, paid_tiyn)
        owed_tiyn = port.debt_tiyn(customer.purse.certificate.account)
        if as_json:
            facts = {"ok": True, "amount": format_tenge(paid_tiyn), "entry": receipt.index}
            print_json(facts | {"owes": format_tenge(owed_tiyn)})
        else:
            out.print(f"repaid {show_tenge(paid_tiyn)}, entry {receipt.index}; still owed: {show_tenge(owed_tiyn)}")


def show_standing(stands: Standing) -> None:
    """In words, where there is something to say."""
    if stands.owed_tiyn:
        out.print(f"[bold red]The account owes {show_tenge(stands.owed_tiyn)}[/] for a fork; `purse repay` pays it.")
    if stands.is_revoked:
        out.print(
            "[bold red]The purse is revoked[/]: whoever has heard of it takes none of its payments, and it is not "
            "loaded. What it holds is not its own to unload: it answers for what the account owes; the rest returns "
            "online at its last deadline.",
            soft_wrap=True,
        )


def standing_facts(stands: Standing) -> dict[str, object]:
    """For JSON."""
    owes = None if stands.owed_tiyn is None else format_tenge(stands.owed_tiyn)
    return {"revoked": stands.is_revoked, "owes": owes}


def _facts(news: News, stands: Standing) -> dict[str, object]:
    report = news.report
    return {
        "ok": True,
        "sent": report.sent,
        "settled": news.sent_settled,
        "received": news.received_settled,
        "refused": [{"payment": payment_id.hex(), "error": error.to_json()} for payment_id, error in report.refusals],
        "disputed": news.disputed,
        "offline": format_tenge(report.offline_tiyn),
        "waiting": format_tenge(report.waiting_tiyn),
        **standing_facts(stands),
    }


def _show_moved(verb: str, customer: Customer, amount: str, receipt: Receipt, as_json: bool) -> None:
    moved_tiyn, held_tiyn = amount_of(amount), customer.purse.balance_tiyn()
    if as_json:
        facts = {"ok": True, "amount": format_tenge(moved_tiyn), "entry": receipt.index}
        print_json(facts | {"offline": format_tenge(held_tiyn)})
    else:
        out.print(f"{verb} {show_tenge(moved_tiyn)}, entry {receipt.index}; the purse holds {show_tenge(held_tiyn)}")
