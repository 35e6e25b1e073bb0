"""A sponsor grants by a list: checked as a whole first, then batch after batch, and nobody twice, whatever breaks.

Every batch is written into the wallet's journal, byte for byte, before the ledger sees it; whoever goes on after a
break hands the same bytes in again and gets the same receipt. The rule that makes a second payment impossible:

    A row is signed for again only in a batch that spends the first input of every batch that held the row and may
    still enter the ledger.

A token is spent once, so at most one of them counts, in whatever order they arrive. One batch is under way at a time:
its change pays the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cbdc.amounts import format_tenge
from cbdc.errors import (
    AlreadyThere,
    CampaignChanged,
    CampaignRefused,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    InsufficientFunds,
    Malformed,
    NotEnrolled,
    NotSponsor,
    PurposeRefused,
    Replayed,
    TengeError,
    TooLarge,
    Unsettled,
)
from cbdc.formats import certificates
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_INPUTS, MAX_OUTPUTS
from cbdc.messages.bodies import Grant
from cbdc.messages.message import build, decode
from cbdc.state.records import Token
from wallet.campaign_journal import Batch, BatchState, Head, Journal, same_list
from wallet.campaign_list import PaymentList, Problem, Result, Row
from wallet.online import VALID_FOR_S, coins_of
from wallet.port import LedgerPort
from wallet.purposes import PurposeWallet
from wallet.selection import pick

BATCH: Final = MAX_OUTPUTS - 1
"""Rows of one grant: the last output is the change."""

ABANDONED: Final = "abandoned"
"""The code of a row that was not signed for when its campaign was given up."""

_LOST_RACES: Final = 10
"""Batches in a row whose money another program spent first; then the two should not run side by side."""

Progress = Callable[[str, int, int], None]
"""Told what is being done ("checking", "granting"), how many rows of it are done, and of how many."""


def _silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is left of a list: whose key each row pays (number -> key), what is wrong, the money wanted and there."""

    payees: dict[int, bytes]
    problems: tuple[Problem, ...]
    total_tiyn: int
    free_tiyn: int
    is_begun: bool
    allow_repeats: bool = False
    skip_bad: bool = False

    def require(self, *, skip: bool) -> None:
        """That it can be carried out. With ``skip``, or if it began so, rows that cannot be paid are left out.

        Raises:
            CampaignRefused: there are such rows. InsufficientFunds: the sponsor's free money is less.
        """
        is_over = self.is_begun and not self.payees
        if self.problems and not skip and not self.skip_bad and not is_over:
            more = "more " if self.is_begun else ""
            first = self.problems[0]
            raise CampaignRefused(
                f"rows of the list cannot be paid, nothing {more}was signed; --skip-bad leaves them out",
                rows=len(self.problems),
                first=first.number,
                why=first.code,
            )
        if self.total_tiyn > self.free_tiyn:
            found, wanted = (format_tenge(tiyn) for tiyn in (self.free_tiyn, self.total_tiyn))
            raise InsufficientFunds("the sponsor has too little free money", found=found, wanted=wanted)


class Campaign:
    """One list, granted in one purpose by its sponsor's wallet."""

    def __init__(self, wallet: PurposeWallet, port: LedgerPort, purpose: bytes, listed: PaymentList, name: str) -> None:
        """Open it, begun or not.

        Raises:
            PurposeRefused: no such purpose. NotSponsor: it is another's.
        """
        definition = port.purposes().get(purpose)
        if definition is None:
            raise PurposeRefused("no such purpose", purpose=purpose)
        keys = wallet.keys()
        own = [key for key in keys if key.public == definition.sponsor]
        if not own:
            raise NotSponsor("only the purpose's sponsor grants in it", purpose=definition.name)
        self.name = name
        self.listed = listed
        self._wallet, self._port = wallet, port
        self._purpose, self._definition, self._key = purpose, definition, own[0]
        self._journal = Journal(wallet.vault, purpose, name)
        self._rows = {row.number: row for row in listed.rows}
        self._tokens: dict[bytes, Token] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether something of it may have been signed."""
        return self._journal.head() is not None

    # --- before anything is signed -------------------------------------------------------------

    def check_may_run(self, *, resume: bool, is_named: bool) -> None:
        """Whether this list may be granted now; ``is_named``: somebody gave the campaign a name of its own.

        Raises:
            CampaignChanged: it was begun with another list. Unsettled: this list was begun, here or under another
            name, and is not resumed. AlreadyThere: it was granted.
        """
        head = self._journal.head()
        if head is not None:
            self._check_list(head)
            if not resume or head.is_abandoned:
                self._refuse_again(self._journal, self.name)
            return
        for name in same_list(self._wallet.vault, self._purpose, self.listed.digest):
            other = Journal(self._wallet.vault, self._purpose, name)
            if not is_named or self._pending_in(other):
                self._refuse_again(other, name)

    def _check_list(self, head: Head) -> None:
        if head.digest != self.listed.digest:
            raise CampaignChanged(
                "the list is not the one that this campaign began with: grant that one as it was, or give this one "
                "a name of its own with --campaign",
                campaign=self.name,
            )

    def _refuse_again(self, journal: Journal, name: str) -> None:
        head = journal.head()
        if head is not None and head.is_abandoned:
            raise AlreadyThere("this list was abandoned; another round of it needs a name of its own", campaign=name)
        if self._pending_in(journal):
            raise Unsettled(
                f"the list of campaign {name} was begun and is not granted to its end: go on with --resume, or end it "
                "with --abandon",
                campaign=name,
            )
        raise AlreadyThere("this list was granted already; another round of it needs a name of its own", campaign=name)

    def _pending_in(self, journal: Journal) -> int:
        """How many rows of this list a campaign has neither paid nor refused."""
        return len(self._rows.keys() - journal.paid_rows().keys() - journal.refusals().keys())

    def check(self, *, allow_repeats: bool = False, progress: Progress = _silent) -> Check:
        """Hand in again what was signed before and has no answer; then look at every row that is not paid.

        What it began with holds on.

        Raises:
            Unreachable. Expired: the purpose has.
        """
        head = self._journal.head()
        allow_repeats = allow_repeats or (head is not None and head.allow_repeats)
        self._settle_open()
        paid = self._journal.paid_rows()
        problems = list(self.listed.problems)
        payees: dict[int, bytes] = {}
        seen: dict[str, int] = {}
        for done, row in enumerate(self.listed.rows, 1):
            try:
                account, key = self._payee(row)
                first = seen.setdefault(account, row.number)
                if first != row.number and not allow_repeats and row.number not in paid:
                    raise Replayed("the account is on the list already", account=account, row=first)
                payees[row.number] = key
            except (NotEnrolled, CertificateRevoked, Replayed) as error:
                problems.append(Problem.of(row.number, error))
            progress("checking", done, len(self.listed.rows))
        left = {number: key for number, key in payees.items() if number not in paid}
        wrong = sorted((one for one in problems if one.number not in paid), key=lambda one: one.number)
        if left:
            self._definition.check_open(self._port.ledger_time_s())
        total_tiyn = sum(self._rows[number].amount_tiyn for number in left)
        free_tiyn = sum(token.amount_tiyn for token in self._free().values())
        skip_bad = head is not None and head.skip_bad
        return Check(left, tuple(wrong), total_tiyn, free_tiyn, self.is_begun, allow_repeats, skip_bad)

    def _settle_open(self) -> None:
        for batch in self._journal.batches():
            if batch.is_open:
                self._settle(batch)

    def _payee(self, row: Row) -> tuple[str, bytes]:
        """Account and key of a row. Raises NotEnrolled, CertificateRevoked: nobody, or nobody any more."""
        if row.key is None:
            keys = self._port.keys_of(row.account)
            if not keys:
                raise NotEnrolled("no such account, or no key of it is in force", account=row.account)
            return row.account, keys[0]
        certificate, _ = certificates.unverified(self._port.certificate_bytes(row.key), self._wallet.network)
        if certificate.limits is not None:
            raise NotEnrolled("a purse's key; money is granted to the wallet's", key=row.key)
        if row.key not in self._port.keys_of(certificate.account):
            raise CertificateRevoked("the key is not in force", key=row.key)
        return certificate.account, row.key

    # --- granting ------------------------------------------------------------------------------

    def run(self, check: Check, progress: Progress = _silent, *, skip: bool = False) -> None:
        """Grant what was checked, and leave rows out that the ledger refuses for their owner's sake. `results` tells.

        ``skip``, and whether repeats are meant, is kept for whoever resumes.

        Raises:
            TengeError: why it cannot go on now. What was signed is in the journal, what was granted is granted; check
            and run again. Unsettled: it was not checked again since.
        """
        if any(batch.state is BatchState.PENDING for batch in self._journal.batches()):
            raise Unsettled("a batch has no answer yet: check first")
        self._begin(check, skip=skip)
        self._journal.set_refusals({problem.number: problem.code for problem in check.problems})
        lost = 0
        while left := self._left(check):
            progress("granting", len(check.payees) - len(left), len(check.payees))
            batch = self._sign(left, check.payees)
            state = self._settle(batch, is_fresh=True)
            self._settle_spent()
            lost = lost + 1 if state is BatchState.DEAD else 0
            if lost > _LOST_RACES:
                raise DoubleSpend("another program spends this sponsor's money at the same time", tries=lost)
        progress("granting", len(check.payees), len(check.payees))

    def _begin(self, check: Check, *, skip: bool) -> None:
        """The journal knows of it, and what it was told."""
        known = self._journal.head()
        head = known or Head(self.name, self._purpose, self.listed.digest, self._port.ledger_time_s())
        head = replace(head, allow_repeats=check.allow_repeats, skip_bad=skip or check.skip_bad)
        if head != known:
            self._journal.begin(head)

    def paid(self) -> int:
        """How many rows are paid, as the journal knows."""
        return len(self._journal.paid_rows())

    def unsigned(self) -> int:
        """How many rows would never be paid if it were abandoned now."""
        return self._pending_in(self._journal)

    def check_may_abandon(self) -> None:
        """Hand in again what was signed and has no answer, so that nothing of it is in doubt.

        Raises:
            Malformed: it was never begun. CampaignChanged: with another list. Unreachable. Unsettled: something of it
            might still enter the ledger.
        """
        head = self._journal.head()
        if head is None:
            raise Malformed("there is no such campaign to abandon", campaign=self.name)
        self._check_list(head)
        self._settle_open()
        if self._journal.open_rows():
            raise Unsettled("what was signed might still enter the ledger: only --resume goes on", campaign=self.name)

    def abandon(self) -> None:
        """End it, as far as it was granted: its other rows are never signed for.

        Raises:
            TengeError: as `check_may_abandon`.
        """
        self.check_may_abandon()
        head = self._journal.head()
        left = self._rows.keys() - self._journal.paid_rows().keys() - self._journal.refusals().keys()
        if head is not None:
            self._journal.abandon(head, dict.fromkeys(left, ABANDONED))

    def _left(self, check: Check) -> list[Row]:
        """The rows to pay, in the list's order."""
        done = self._journal.paid_rows().keys() | self._journal.refusals().keys()
        return [self._rows[number] for number in check.payees if number not in done]

    def _sign(self, left: list[Row], payees: dict[int, bytes]) -> Batch:
        """The next batch, in the journal: as many of these rows as fit."""
        count = min(BATCH, len(left))
        inputs, change_tiyn = self._inputs(sum(row.amount_tiyn for row in left[:count]))
        while len(inputs) > MAX_INPUTS:
            if count == 1:
                raise TooLarge("the amount takes more tokens than one message may spend", limit=MAX_INPUTS)
            count = max(1, count // 2)
            inputs, change_tiyn = self._inputs(sum(row.amount_tiyn for row in left[:count]))
        outputs = [Output(payees[row.number], row.amount_tiyn, self._purpose) for row in left[:count]]
        if change_tiyn:
            outputs.append(Output(self._key.public, change_tiyn, None))
        body = Grant(inputs, tuple(outputs), self._port.ledger_time_s() + VALID_FOR_S, self._purpose)
        raw = build(Kind.GRANT, body, [self._key], self._wallet.network)
        message_id = decode(raw, self._wallet.network).id
        number = 1 + max((batch.number for batch in self._journal.batches()), default=0)
        batch = Batch(number, message_id, tuple(row.number for row in left[:count]), raw, BatchState.PENDING)
        self._journal.put(batch)
        return batch

    def _inputs(self, amount_tiyn: int) -> tuple[tuple[bytes, ...], int]:
        """Free tokens for an amount and the change; the first input of what might still enter the ledger leads."""
        free = dict(self._free())
        tied = [name for name in self._tied() if name in free]
        chosen_tiyn = sum(free.pop(name).amount_tiyn for name in tied)
        if chosen_tiyn < amount_tiyn:
            more = pick({None: amount_tiyn - chosen_tiyn}, coins_of(free), b"", b"").inputs
            chosen_tiyn += sum(free[name].amount_tiyn for name in more)
            tied += more
        return tuple(tied), chosen_tiyn - amount_tiyn

    def _tied(self) -> list[bytes]:
        """First inputs of batches that the ledger refused and that might still come in, each once."""
        refused = [batch for batch in self._journal.batches() if batch.state is BatchState.REFUSED]
        return list(dict.fromkeys(self._body(batch).inputs[0] for batch in refused))

    def _settle_spent(self) -> None:
        """Refused batches whose first input is spent by now: one of them may be what spent it."""
        for batch in self._journal.batches():
            if batch.state is BatchState.REFUSED and self._body(batch).inputs[0] not in self._free():
                self._settle(batch)

    def _free(self) -> dict[bytes, Token]:
        """The sponsor's free tokens, as the ledger last told; what was granted since is kept count of."""
        if self._tokens is None:
            held = self._port.tokens_of([self._key.public])
            self._tokens = {name: token for name, token in held.items() if token.purpose is None}
        return self._tokens

    # --- what becomes of a batch ---------------------------------------------------------------

    def _settle(self, batch: Batch, *, is_fresh: bool = False) -> BatchState:
        """Hand a batch's bytes in, and write down what that comes to.

        Raises:
            TengeError: nothing is known; the batch stays as it is in the journal.
        """
        body = self._body(batch)
        granted_tiyn = sum(output.amount_tiyn for output in body.outputs if output.purpose is not None)
        try:
            receipt = self._wallet.submit(self._port, batch.raw, "granted", -granted_tiyn, self.name)
        except (NotEnrolled, CertificateRevoked, CertificateExpired, Expired, DoubleSpend) as error:
            self._tokens = None
            return self._refused(batch, body, error, is_fresh=is_fresh)
        self._journal.paid(batch, receipt.index)
        self._count(batch, body)
        return BatchState.PAID

    def _refused(self, batch: Batch, body: Grant, error: TengeError, *, is_fresh: bool) -> BatchState:
        """What a refusal means: a batch is dead only when something else has spent an input of it."""
        spenders = {spender for name in body.inputs for spender in self._port.spenders_of(name)}
        if batch.message_id in spenders:
            raise error  # it counts: what was refused is not the batch but its receipt
        if spenders:
            self._journal.put(replace(batch, state=BatchState.DEAD))
            return BatchState.DEAD
        codes = self._at_fault(batch, body, error)
        has_lapsed = type(error) is Expired and not is_fresh and "purpose" not in error.values
        if not codes and not has_lapsed:
            raise error
        self._journal.refuse(batch, codes)
        return BatchState.REFUSED

    def _at_fault(self, batch: Batch, body: Grant, error: TengeError) -> dict[int, str]:
        """Rows whose owner the ledger refuses, with its code. () if the refusal is about something else."""
        key = error.values.get("key")
        if isinstance(error, Expired | DoubleSpend) or key == self._key.public:
            return {}
        granted = zip(batch.rows, body.outputs, strict=False)
        return {number: error.code for number, output in granted if output.owner == key}

    def _count(self, batch: Batch, body: Grant) -> None:
        """The sponsor's tokens after a batch."""
        if self._tokens is None:
            return
        for name in body.inputs:
            self._tokens.pop(name, None)
        last = len(body.outputs) - 1
        change = body.outputs[last]
        if change.purpose is None:
            self._tokens[outpoint(batch.message_id, last)] = Token(change.owner, change.amount_tiyn, None)

    def _body(self, batch: Batch) -> Grant:
        body = decode(batch.raw, self._wallet.network).body
        if not isinstance(body, Grant):
            raise Unsettled("the journal holds no grant here", batch=batch.number)
        return body

    # --- what came of it -----------------------------------------------------------------------

    def results(self, problems: Iterable[Problem] = ()) -> list[Result]:
        """What became of every row, in the list's order, from the journal; ``problems`` are those of a check."""
        paid, signed = self._journal.paid_rows(), self._journal.open_rows()
        refused = {number: (code, "") for number, code in self._journal.refusals().items()}
        refused |= {one.number: (one.code, one.message) for one in (*problems, *self.listed.problems)}
        rows = sorted([*self.listed.rows, *self.listed.unread], key=lambda row: row.number)
        return [_result(row, paid, refused, signed) for row in rows]


def _result(row: Row, paid: Mapping[int, int], refused: dict[int, tuple[str, str]], signed: set[int]) -> Result:
    if row.number in paid:
        return Result(row, "paid", paid[row.number], "")
    if row.number in refused:
        return Result(row, "refused", None, *refused[row.number])
    return Result(row, "pending" if row.number in signed else "not signed", None, "")
