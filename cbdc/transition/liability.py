"""Who pays for a fork: cover, seizure, debt and reserve (design section 6, rules 2 to 4).

All of it is a function of the evidence alone. For every purse that spent an output more than once, or a void one:
``excess`` is what its further spends were worth; ``seized`` is what its own live leaves are worth, up to the
excess. The bank's net reserve is what it topped up, less its purses' excess, plus what was seized; below zero
it is the bank's debt to the offline pool.
"""

from __future__ import annotations

from dataclasses import replace

from cbdc.errors import AmountMismatch
from cbdc.formats.certificates import Certificate
from cbdc.state.records import BankReserve, Culprit, Debtor, OfflineToken
from cbdc.transition.draft import Draft
from cbdc.transition.network import revoke_certificate


def charge(draft: Draft, payer: Certificate, excess_tiyn: int, time_s: int) -> None:
    """A spend too many of an output worth ``excess_tiyn`` has come to light: the payer owes it, its bank covers it.

    It is one too many if the output was spent before (a fork), or if it is void: then the payer had accepted what he
    could know does not count, and passed it on (rule 5).
    """
    culprit = draft.culprit(payer.key)
    if culprit is None:
        culprit = Culprit(payer.bank, 0, 0, 0)
        draft.put_debtor(payer.account, Debtor(sorted([*draft.debtor(payer.account).purses, payer.key])))
    draft.put_culprit(payer.key, replace(culprit, excess_tiyn=culprit.excess_tiyn + excess_tiyn))
    before = draft.reserve(payer.bank)
    put_reserve(draft, payer.bank, replace(before, excess_tiyn=before.excess_tiyn + excess_tiyn))
    revoke_certificate(draft, payer.id, time_s)


def seize(draft: Draft, purse_key: bytes) -> None:
    """Bring a culprit's seizure in line with the live leaves of its purse; nothing for anyone else."""
    culprit = draft.culprit(purse_key)
    if culprit is None:
        return
    live_tiyn = sum(token.amount_tiyn for token in draft.live_offline_of(purse_key).values())
    seized_tiyn = min(culprit.excess_tiyn - culprit.settled_tiyn, live_tiyn)
    if seized_tiyn == culprit.seized_tiyn:
        return
    draft.put_culprit(purse_key, replace(culprit, seized_tiyn=seized_tiyn))
    before = draft.reserve(culprit.bank)
    total_tiyn = before.seized_tiyn + seized_tiyn - culprit.seized_tiyn
    put_reserve(draft, culprit.bank, replace(before, seized_tiyn=total_tiyn))


def settle_leaf(draft: Draft, token: OfflineToken) -> int:
    """A leaf has become final: what of it (tiyn) stays seized for good.

    The total seized from its purse does not change; what was provisional becomes settled. Call it before the
    leaf is marked returned.
    """
    culprit = draft.culprit(token.owner)
    if culprit is None:
        return 0
    live_tiyn = sum(leaf.amount_tiyn for leaf in draft.live_offline_of(token.owner).values())
    taken_tiyn = min(token.amount_tiyn, culprit.excess_tiyn - culprit.settled_tiyn)
    settled_tiyn = culprit.settled_tiyn + taken_tiyn
    seized_tiyn = min(culprit.excess_tiyn - settled_tiyn, live_tiyn - token.amount_tiyn)
    draft.put_culprit(token.owner, replace(culprit, settled_tiyn=settled_tiyn, seized_tiyn=seized_tiyn))
    return taken_tiyn


def repay(draft: Draft, purse_key: bytes, amount_tiyn: int) -> None:
    """Money paid towards a purse's debt goes to its bank's reserve and counts like what was seized for good.

    Raises:
        AmountMismatch: more than the purse owes.
    """
    culprit = draft.culprit(purse_key)
    debt_tiyn = culprit.debt_tiyn if culprit else 0
    if culprit is None or amount_tiyn > debt_tiyn:
        raise AmountMismatch("more than is owed", found=amount_tiyn, limit=debt_tiyn)
    draft.put_culprit(purse_key, replace(culprit, settled_tiyn=culprit.settled_tiyn + amount_tiyn))
    before = draft.reserve(culprit.bank)
    after = replace(before, seized_tiyn=before.seized_tiyn + amount_tiyn)
    put_reserve(draft, culprit.bank, after, paid_in_tiyn=amount_tiyn)


def put_reserve(draft: Draft, bank: str, after: BankReserve, *, paid_in_tiyn: int = 0) -> None:
    """Write a bank's reserve; what it loses goes to the pool and back, ``paid_in_tiyn`` comes from online tokens."""
    before = draft.reserve(bank)
    gained_tiyn = after.reserve_tiyn - before.reserve_tiyn
    draft.put_reserve(bank, after)
    draft.shift_supply(online_tiyn=-paid_in_tiyn, reserves_tiyn=gained_tiyn, pool_tiyn=paid_in_tiyn - gained_tiyn)
