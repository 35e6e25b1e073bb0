"""Who pays for a fork: cover, seizure, debt and reserve (design section 6, rules 2 to 4).

All of it is a function of the evidence alone. For every purse that spent an output more than once, or a void one:
``excess`` is what its further spends were worth, less what one payee accepted of it twice: that is the payee's.
``seized`` is what its own live leaves are worth, up to the excess. The bank's net reserve is what it topped up, less
its purses' excess, plus what was seized; below zero it is the bank's debt to the offline pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cbdc.errors import AmountMismatch, NotOwner
from cbdc.formats.certificates import Certificate
from cbdc.formats.tokens import outpoint
from cbdc.limits import MAX_OUTPUTS
from cbdc.state.records import BankReserve, Culprit, Debtor, OfflineToken
from cbdc.transition.draft import Draft
from cbdc.transition.network import revoke_certificate


@dataclass(frozen=True, slots=True)
class Spend:
    """A payment as far as liability goes: who paid whom, and how much of its ``total_tiyn`` it brought him."""

    payer: Certificate
    payee: Certificate
    brought_tiyn: int
    total_tiyn: int


def charge(draft: Draft, spend: Spend, name: bytes, token: OfflineToken, time_s: int) -> None:
    """A spend too many of an output has come to light; ``token`` is the output before it. Reserves cover it at once.

    It is one too many if the output was spent before (a fork), or if it is void: then the payer had accepted what he
    could know does not count, and passed it on (rule 5). The payer owes the output's value, but for what his payee has
    of an earlier spend of it as well: a device that holds one spend refuses another, so this is the payee's (rule 6).

    The payer's key is revoked. The payee's is not: the payment alone does not prove that he accepted it, and a thief
    could put any purse on the deny-list by paying it twice. If he did not, what he owes lies untouched in his purse.
    """
    payee_tiyn = _accepted_twice(draft, spend, name, token)
    _owe(draft, spend.payer, token.amount_tiyn - payee_tiyn, time_s)
    revoke_certificate(draft, spend.payer.id, time_s)
    if payee_tiyn:
        _owe(draft, spend.payee, payee_tiyn, time_s)


def _owe(draft: Draft, purse: Certificate, excess_tiyn: int, time_s: int) -> None:
    settle_due(draft, purse.key, time_s)
    culprit = draft.culprit(purse.key)
    if culprit is None:
        culprit = Culprit(purse.bank, 0, 0, 0)
        draft.put_debtor(purse.account, Debtor(sorted([*draft.debtor(purse.account).purses, purse.key])))
    draft.put_culprit(purse.key, replace(culprit, excess_tiyn=culprit.excess_tiyn + excess_tiyn))
    before = draft.reserve(purse.bank)
    put_reserve(draft, purse.bank, replace(before, excess_tiyn=before.excess_tiyn + excess_tiyn))


def _accepted_twice(draft: Draft, spend: Spend, name: bytes, token: OfflineToken) -> int:
    """By how much this spend of a spent output raises what its payee owes (tiyn).

    Sums are kept only once an output is forked, so that honest payments write nothing; the first spend's are caught up
    then.
    """
    if not token.spenders:
        return 0
    if len(token.spenders) == 1:
        _catch_up(draft, name, token)
    return _accept(draft, name, spend.payee.key, token.amount_tiyn * spend.brought_tiyn // spend.total_tiyn)


def _catch_up(draft: Draft, name: bytes, token: OfflineToken) -> None:
    """Note what the one spend so far brought its payee; an unload has none."""
    brought: dict[bytes, int] = {}
    for index in range(MAX_OUTPUTS):
        made = draft.offline(outpoint(token.spenders[0], index))
        if made is None:
            break
        brought[made.owner] = brought.get(made.owner, 0) + made.amount_tiyn
    for owner, amount_tiyn in brought.items():
        if owner != token.owner:
            _accept(draft, name, owner, token.amount_tiyn * amount_tiyn // sum(brought.values()))


def _accept(draft: Draft, name: bytes, purse_key: bytes, brought_tiyn: int) -> int:
    """Add what one spend brought out of this output: of all that it brings, the output's share of the inputs."""
    before = draft.accepted(name, purse_key)
    after = before.with_one_more(brought_tiyn)
    draft.put_accepted(name, purse_key, after)
    return after.owed_tiyn - before.owed_tiyn


def check_free(draft: Draft, purse_key: bytes, unloaded_tiyn: int, time_s: int) -> None:
    """What is seized is not the purse's to unload.

    Raises:
        NotOwner: more than the rest of its leaves that are not final.
    """
    culprit = draft.culprit(purse_key)
    if culprit is None:
        return
    settle_due(draft, purse_key, time_s)
    final_tiyn, kept_tiyn = _final_of(draft, purse_key)
    free_tiyn = draft.live_tiyn_of(purse_key) - final_tiyn - (culprit.seized_tiyn - kept_tiyn)
    if unloaded_tiyn > free_tiyn:
        raise NotOwner("what is seized is not the purse's to unload", found=unloaded_tiyn, limit=free_tiyn)


def settle_due(draft: Draft, purse_key: bytes, time_s: int) -> None:
    """Fix what of its final leaves stays seized, as if they had been swept in the second in which they became final.

    A sweep is unsigned and comes whenever somebody sends one. So that neither that nor its order decides anything, it
    is called before a purse's excess changes, and the leaves are taken in a fixed order: earliest first, free before
    marked, then by name.
    """
    if purse_key in draft.settled_due:
        return
    draft.settled_due.add(purse_key)
    due = [(name, leaf) for name, leaf in draft.live_offline_of(purse_key).items() if leaf.final_at_s <= time_s]
    due = [(name, leaf) for name, leaf in due if leaf.kept_tiyn is None]
    culprit = draft.culprit(purse_key) or Culprit("", 0, 0, 0)
    left_tiyn = culprit.excess_tiyn - culprit.settled_tiyn - _final_of(draft, purse_key)[1]
    for name, leaf in sorted(due, key=lambda found: (found[1].final_at_s, found[1].purpose is not None, found[0])):
        kept_tiyn = min(leaf.amount_tiyn, left_tiyn)
        left_tiyn -= kept_tiyn
        draft.put_offline(name, replace(leaf, kept_tiyn=kept_tiyn))


def _final_of(draft: Draft, purse_key: bytes) -> tuple[int, int]:
    """What its leaves that were final before its excess last changed are worth, and what of them stays seized."""
    final = draft.final_of(purse_key)
    return sum(leaf.amount_tiyn for leaf in final), sum(leaf.kept_tiyn or 0 for leaf in final)


def seize(draft: Draft, purse_key: bytes) -> None:
    """Bring a culprit's seizure in line with the live leaves of its purse; nothing for anyone else."""
    culprit = draft.culprit(purse_key)
    if culprit is None:
        return
    final_tiyn, kept_tiyn = _final_of(draft, purse_key)
    open_tiyn = draft.live_tiyn_of(purse_key) - final_tiyn
    seized_tiyn = kept_tiyn + min(culprit.excess_tiyn - culprit.settled_tiyn - kept_tiyn, open_tiyn)
    if seized_tiyn == culprit.seized_tiyn:
        return
    draft.put_culprit(purse_key, replace(culprit, seized_tiyn=seized_tiyn))
    before = draft.reserve(culprit.bank)
    total_tiyn = before.seized_tiyn + seized_tiyn - culprit.seized_tiyn
    put_reserve(draft, culprit.bank, replace(before, seized_tiyn=total_tiyn))


def settle_leaf(draft: Draft, name: bytes, owner: bytes, time_s: int) -> int:
    """A final leaf is swept: what of it (tiyn) stays seized for good.

    The total seized from its purse does not change; what was provisional becomes settled.
    """
    culprit = draft.culprit(owner)
    if culprit is None:
        return 0
    settle_due(draft, owner, time_s)
    leaf = draft.offline(name)
    kept_tiyn = leaf.kept_tiyn or 0 if leaf else 0
    settled_tiyn, seized_tiyn = culprit.settled_tiyn + kept_tiyn, culprit.seized_tiyn - kept_tiyn
    draft.put_culprit(owner, replace(culprit, settled_tiyn=settled_tiyn, seized_tiyn=seized_tiyn))
    return kept_tiyn


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
