"""The trust list by hand: whoever has a newer one writes it, any other device takes it."""

from __future__ import annotations

from cbdc.errors import TooLarge
from cbdc.limits import MAX_PASSED_LIST_BYTES
from tui.clock import At
from tui.commands.purse.hands import hand_out
from tui.commands.purse.session import Force, Out, Source, WalletPath, opened, opened_with
from tui.output import Json, out, print_json
from tui.payloads import check_free


def list_(wallet: WalletPath, to: Out = None, force: Force = False, at: At = None, as_json: Json = False) -> None:
    """Write the newest trust list that this wallet has, for another device: what it denies, and the ledger's time.

    Examples:
        tenge purse list ./timur -o list.kzt
    """
    with opened(wallet, at, as_json) as customer:
        check_free(to, force=force)
        raw = customer.purse.trust_list_raw()
        if len(raw) > MAX_PASSED_LIST_BYTES:
            raise TooLarge("too long to be passed on: a sync brings it", found=len(raw), limit=MAX_PASSED_LIST_BYTES)
        hand_out(raw, to, {"ok": True, "time_s": customer.purse.trust_list.time_s}, as_json)


def hear(wallet: WalletPath, trust_list: Source, at: At = None, as_json: Json = False) -> None:
    """Take a trust list from another device, if it is newer. Only the operator's own is believed.

    Examples:
        tenge purse hear ./aigerim list.kzt
    """
    with opened_with(wallet, trust_list, "a trust list", at, as_json) as (customer, raw):
        is_news = customer.purse.hear(raw)
        if as_json:
            print_json({"ok": True, "news": is_news, "time_s": customer.purse.trust_list.time_s})
        else:
            out.print("a newer trust list: taken" if is_news else "nothing new: this wallet's list is as new")
