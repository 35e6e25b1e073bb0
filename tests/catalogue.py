"""The defences behind each case of docs/offline.md, and the small edits that take them out.

An edit names a text that stands once in its file and what stands there without the defence. What must then fail is a
scenario or a test of the case's row in the document's table. `tests.defences` runs them; nothing here does.
"""

from __future__ import annotations

from dataclasses import dataclass

PURSE, STORE, ACCEPTANCE = "wallet/purse.py", "wallet/purse_store.py", "wallet/acceptance.py"
ELEMENT, PROTOCOL, RENEWAL = "wallet/element/core.py", "wallet/protocol.py", "wallet/renewal.py"
RELEASE = "wallet/release.py"
LEDGER, LIABILITY, SWEEP = "cbdc/transition/offline.py", "cbdc/transition/liability.py", "cbdc/transition/sweep.py"
MONEY, GUARDS, NETWORK = "cbdc/transition/money.py", "cbdc/transition/guards.py", "cbdc/transition/network.py"
JUDGE, MARKS, DOCUMENTS = "cbdc/offline/judge.py", "cbdc/purposes/marks.py", "cbdc/offline/documents.py"
CBOR, MESSAGE = "cbdc/formats/cbor.py", "cbdc/messages/message.py"

ON_PURSE, ON_ELEMENT = "tests/wallet/test_purse.py", "tests/wallet/test_element.py"
ON_ACCEPTANCE, ON_RELEASE = "tests/wallet/test_acceptance.py", "tests/wallet/test_release.py"
ON_STEPS, ON_CUSTOMER = "tests/scenarios/test_device_steps.py", "tests/wallet/test_customer.py"
ON_EVIDENCE, ON_LIABILITY = "tests/unit/transition/test_evidence.py", "tests/unit/transition/test_liability.py"
ON_LOAD, ON_SWEEP = "tests/unit/transition/test_load.py", "tests/unit/transition/test_sweep.py"
ON_JUDGE, ON_FUZZ = "tests/unit/offline/test_judge.py", "tests/property/test_fuzz.py"
ON_PROTOCOL, ON_NETWORK = "tests/wallet/test_protocol.py", "tests/unit/transition/test_network.py"
ON_DOCUMENTS = "tests/unit/offline/test_documents.py"

FORGERIES = f"{ON_ACCEPTANCE}::test_a_forgery_is_refused_with_its_code_and_leaves_nothing"


@dataclass(frozen=True)
class Defence:
    """What it is, in which file, the text that stands there with and without it, and what fails without it.

    ``kills`` are names of scenarios and ``path::test`` of tests.
    """

    words: str
    path: str
    old: str
    new: str
    kills: tuple[str, ...]

    def without(self, source: str) -> str | None:
        """The file's source with the defence taken out, or None if the edit does not apply any more."""
        return source.replace(self.old, self.new) if source.count(self.old) == 1 else None


def edit(words: str, path: str, old: str, new: str, *kills: str) -> Defence:
    return Defence(words, path, old, new, kills)


def guard(words: str, path: str, condition: str, *kills: str) -> Defence:
    """An ``if`` that no longer holds."""
    return Defence(words, path, f"if {condition}:", "if False:", kills)


def line(words: str, path: str, statement: str, *kills: str) -> Defence:
    """A statement that is not made."""
    return Defence(words, path, statement, "pass", kills)


_BELIEVED = (
    "(lambda *_: [OfflineToken(o.owner, o.amount_tiyn, o.purpose, {0}, {1}, terms.hop, [], False) for o in {2}])("
)
BELIEVED_BY_DEVICE, BELIEVED_BY_LEDGER = (
    _BELIEVED.format("inputs[0].spend_until_s", "inputs[0].final_at_s", f"{body}.outputs")
    for body in ("transfer", "body")
)
"""In place of `judge`: a payment makes what it says that it makes."""

_STORING = '\n            self.store_hops(accepted, bundle)\n            self.vault.drop("invoice"'
_REPEAT = "if known is not None:\n            self.mark_received"

INTERRUPTION: dict[int, tuple[Defence, ...]] = {
    1: (
        line(
            "what is about to be signed is written down first",
            PURSE,
            'self.vault.put("intent", payment_id, [payload, invoice_raw, list(inputs)])',
            f"{ON_PURSE}::test_power_lost_while_paying_loses_nothing",
        ),
        edit(
            "what the element has not signed is forgotten",
            PURSE,
            "if all(self.element.has_spent(name) for name in inputs):\n                    self._sign(",
            "if True:\n                    self._sign(",
            f"{ON_PURSE}::test_a_payment_that_the_element_never_signed_never_happened",
        ),
        edit(
            "the journal is written in one piece",
            PURSE,
            "with self.vault.together():\n            spent =",
            "if True:\n            spent =",
            f"{ON_PURSE}::test_power_lost_before_the_journal_emits_nothing",
        ),
    ),
    2: (
        line(
            "the payer journals before it emits",
            PURSE,
            'self.vault.put("sent", payment_id, journal)',
            f"{ON_PURSE}::test_a_payment_is_journaled_before_its_bytes_are_out",
            "interruption",
        ),
        guard(
            "an invoice that was paid gets the same bytes again",
            PURSE,
            "paid is not None",
            f"{ON_PURSE}::test_an_invoice_is_never_paid_by_two_payments",
        ),
        guard(
            "the element refuses a second signature over an input",
            ELEMENT,
            "any(note is not None and note != [kind.value, payload] for note in noted)",
            f"{ON_ELEMENT}::test_no_other_payload_ever_for_an_input",
        ),
        line(
            "the element notes what it signs",
            ELEMENT,
            "self._note_inputs(Kind.TRANSFER, payload, transfer.inputs)",
            f"{ON_ELEMENT}::test_no_other_payload_ever_for_an_input",
        ),
    ),
    3: (
        line(
            "a payer hands in what it paid",
            PURSE,
            'self.vault.put("payment", payment_id, raw)',
            f"{ON_STEPS}::test_a_lost_payment_is_credited_when_the_payer_alone_syncs",
            "interruption",
        ),
        edit(
            "a payee takes at a sync what the ledger has for it, shown to it or not",
            RENEWAL,
            "leaf in leaves.items() if not self.element.has_spent(name)}",
            "leaf in leaves.items() if name in self.purse.tokens()}",
            f"{ON_STEPS}::test_a_lost_payment_is_credited_when_the_payer_alone_syncs",
            "interruption",
        ),
    ),
    4: (
        edit(
            "a repeat is answered with the receipt that was stored",
            PURSE,
            _REPEAT,
            _REPEAT.replace("known is not None", "False"),
            f"{ON_STEPS}::test_a_lost_receipt_leaves_the_payee_whole_and_the_payer_waiting",
            "interruption",
        ),
    ),
    5: (
        edit(
            "the payee stores in one piece",
            PURSE,
            f"with self.vault.together():{_STORING}",
            f"if True:{_STORING}",
            f"{ON_PURSE}::test_power_lost_before_storing_receives_nothing_and_the_repeat_completes_it_once",
        ),
        line(
            "the payee stores before it answers",
            PURSE,
            "self._store(accepted, bundle, receipt)",
            f"{ON_PURSE}::test_power_lost_before_storing_receives_nothing_and_the_repeat_completes_it_once",
            "interruption",
        ),
    ),
    6: (
        guard(
            "device: a release gives back a payment of this purse's own",
            ACCEPTANCE,
            "not is_release(transfer, terms) or not has_made(terms.invoice_id)",
            f"{ON_RELEASE}::test_a_release_is_for_the_payer_alone",
        ),
        guard(
            "device: a release is judged by a trust list that its taker has heard",
            ACCEPTANCE,
            "terms.trust_list_s > known_s",
            f"{ON_RELEASE}::test_a_revoked_purse_gives_nothing_back",
        ),
        guard(
            "device: only what is still held whole is given back",
            RELEASE,
            "not names or any(name not in held or self.element.has_spent(name) for name in names)",
            f"{ON_RELEASE}::test_what_was_spent_in_part_stays",
            "interruption",
        ),
        guard(
            "ledger: what comes back goes to the purse that paid it",
            JUDGE,
            "len(sources) < len(inputs) or any(output.owner != payee.key for output in transfer.outputs)",
            f"{ON_RELEASE}::test_the_ledger_refuses_a_release_that_goes_elsewhere",
        ),
    ),
    7: (
        edit(
            "what is final goes to its holder's online key",
            SWEEP,
            "purse.online_key or leaf.owner",
            "leaf.owner",
            f"{ON_CUSTOMER}::test_a_lost_device_gets_its_money_back_at_final_at",
            "interruption",
        ),
        edit(
            "and not before its time",
            SWEEP,
            " or time_s < leaf.final_at_s",
            "",
            f"{ON_SWEEP}::test_a_leaf_is_not_final_before_its_time",
        ),
    ),
}

FORKS: dict[int, tuple[Defence, ...]] = {
    8: (
        guard(
            "device: two payments that spend one token are refused and kept as proof",
            ACCEPTANCE,
            "other != message.id or (seen is not None and seen != message.id)",
            f"{ON_PURSE}::test_a_fork_between_bundle_and_storage_is_refused_and_proven",
        ),
        line(
            "ledger: the reserve covers what was spent twice",
            LEDGER,
            "liability.charge(draft, spend, name, token, time_s)",
            f"{ON_LIABILITY}::test_the_worked_example",
            "double_spend",
            "forks",
        ),
        line(
            "ledger: the culprit's change is seized",
            LEDGER,
            "liability.seize(draft, purse_key)",
            f"{ON_LIABILITY}::test_the_worked_example",
            "double_spend",
            "forks",
        ),
        line(
            "ledger: a fork revokes the purse",
            LIABILITY,
            "revoke_certificate(draft, spend.payer.id, time_s)",
            f"{ON_LIABILITY}::test_a_culprits_purse_is_revoked",
        ),
    ),
    9: (
        guard(
            "ledger: a payment that is known counts once",
            LEDGER,
            "any(token and message.id in token.spenders for token in map(draft.offline, body.inputs))",
            f"{ON_EVIDENCE}::test_order_grouping_and_duplicates_change_nothing",
        ),
        edit(
            "ledger: ancestors are taken in before what spends them",
            LEDGER,
            "[*(by_id[message_id] for message_id in graph.static_order()), *repeats]",
            "[*by_id.values(), *repeats]",
            f"{ON_EVIDENCE}::test_order_grouping_and_duplicates_change_nothing",
        ),
    ),
    10: (
        edit(
            "ledger: of a revoked purse only payments under an older list count",
            LEDGER,
            "if terms.trust_list_s <= revoked_at_s and time_s",
            "if time_s",
            f"{ON_EVIDENCE}::test_a_payee_who_could_know_is_not_paid",
        ),
        edit(
            "ledger: and only for so many days",
            LEDGER,
            " and time_s <= deadline_s:",
            ":",
            f"{ON_EVIDENCE}::test_a_payee_who_synced_too_late_is_not",
            "forks",
        ),
        edit(
            "device: whoever has the newer list takes nothing",
            ACCEPTANCE,
            "know.trust_list.check_not_revoked(payer.id)",
            "pass",
            f"{FORGERIES}[a_revoked_certificate]",
            "forks",
        ),
    ),
    11: (
        edit(
            "ledger: a payment arrives when the ledger says, not when it says itself",
            LEDGER,
            "_revocation(draft, payer, terms, time_s)",
            "_revocation(draft, payer, terms, terms.ledger_time_s)",
            f"{ON_EVIDENCE}::test_a_payee_who_synced_too_late_is_not",
            "forks",
        ),
        guard(
            "ledger: no payment is dated ahead",
            LEDGER,
            "max(terms.ledger_time_s, terms.trust_list_s) > time_s",
            f"{ON_EVIDENCE}::test_refused[time to come]",
        ),
        guard(
            "device: no payment is dated ahead",
            ACCEPTANCE,
            "named_s > know.now_s",
            f"{ON_ACCEPTANCE}::test_an_ancestor_dated_ahead_of_every_clock_is_refused",
        ),
        guard(
            "device: a payment repeats its invoice's times",
            ACCEPTANCE,
            "(terms.trust_list_s, terms.ledger_time_s) != (invoice.trust_list_s, invoice.ledger_time_s)",
            f"{FORGERIES}[an_older_trust_list_than_invoiced]",
            f"{FORGERIES}[an_earlier_time_than_invoiced]",
        ),
    ),
    12: (
        edit(
            "ledger: what the reserve lacks is owed in the open",
            "cbdc/state/records.py",
            "return max(0, -self.net_tiyn)",
            "return 0",
            f"{ON_LIABILITY}::test_a_short_reserve_is_owed_to_the_pool",
            "forks",
        ),
        guard(
            "ledger: a bank that owes loads no purse",
            LEDGER,
            "claims_tiyn",
            f"{ON_LOAD}::test_a_bank_that_owes_the_pool_loads_no_purse",
            "forks",
        ),
        edit(
            "ledger: a top-up pays the pool first",
            "cbdc/state/records.py",
            "return max(0, self.net_tiyn)",
            "return max(0, self.topped_up_tiyn)",
            f"{ON_LIABILITY}::test_a_top_up_pays_the_pool_first",
        ),
        guard(
            "device: nothing is signed away that a bank in debt could not renew",
            RENEWAL,
            "claims_tiyn",
            f"{ON_CUSTOMER}::test_what_the_ledger_would_not_renew_is_not_signed_away",
        ),
    ),
}

FORGERY: dict[int, tuple[Defence, ...]] = {
    13: (
        edit(
            "device: a payment that was stored is not stored again",
            PURSE,
            _REPEAT,
            _REPEAT.replace("known is not None", "False"),
            f"{ON_PURSE}::test_a_repeat_gets_the_same_receipt_and_one_credit",
            "forgery",
        ),
        line(
            "device: an invoice that was paid is closed",
            PURSE,
            'self.vault.drop("invoice", last.terms.invoice_id)',
            f"{ON_PURSE}::test_one_invoice_is_paid_once",
        ),
        guard(
            "element: a payment that it receipted is not counted again",
            ELEMENT,
            'self._vault.get("received", payment_id) is None',
            f"{ON_ELEMENT}::test_a_repeat_counts_once",
        ),
        guard(
            "ledger: evidence without news is replayed",
            LEDGER,
            "any(token and message.id in token.spenders for token in map(draft.offline, body.inputs))",
            f"{ON_EVIDENCE}::test_evidence_without_news_is_replayed",
        ),
    ),
    14: (
        guard(
            "device: a payment answers an open invoice of this very purse",
            ACCEPTANCE,
            "terms.payee_certificate != know.certificate.id or invoice is None",
            f"{ON_PURSE}::test_another_payee_refuses_what_was_not_for_him",
            "forgery",
        ),
        line(
            "ledger: an output goes to the payee or back to the payer",
            JUDGE,
            'raise WrongPayee("an output goes to a third party")',
            f"{ON_EVIDENCE}::test_refused[third party]",
        ),
    ),
    15: (
        guard(
            "device: every input has its payment or its load certificate",
            ACCEPTANCE,
            "missing",
            f"{FORGERIES}[a_hop_cut_out]",
            "forgery",
        ),
        edit(
            "ledger: a payment whose input is unknown waits for its ancestor",
            LEDGER,
            "if token is None:\n        raise AncestryBroken",
            "if token is None:\n        raise NotOwner",
            f"{ON_EVIDENCE}::test_refused[unknown token]",
        ),
        edit(
            "both: the hop number follows from the ancestry",
            JUDGE,
            'if terms.hop != hop:\n        raise AncestryBroken("the hop number does not',
            'if False:\n        raise AncestryBroken("the hop number does not',
            f"{ON_JUDGE}::test_refused[hop too low]",
        ),
    ),
    16: (
        guard(
            "both: what comes out went in",
            MARKS,
            "total_tiyn",
            f"{ON_JUDGE}::test_refused[too much]",
        ),
        edit(
            "device: the purse judges every hop",
            ACCEPTANCE,
            "made = judge(",
            f"made = {BELIEVED_BY_DEVICE}",
            f"{FORGERIES}[outputs_above_inputs]",
            "forgery",
        ),
        guard(
            "device: the amount is the invoice's",
            ACCEPTANCE,
            "accepted.amount_tiyn != invoice.amount_tiyn",
            f"{ON_ACCEPTANCE}::test_the_amount_is_the_invoices",
        ),
        edit(
            "ledger: it judges what a device took",
            LEDGER,
            " judge(body,",
            f" {BELIEVED_BY_LEDGER}body,",
            f"{ON_STEPS}::test_a_careless_payee_bears_what_it_took[amount-amount_mismatch]",
            "forgery",
        ),
    ),
    17: (
        edit(
            "device: load certificates are by the operator",
            DOCUMENTS,
            "cose.verify1(data, Kind.LOAD_CERTIFICATE, network, operator_key, max_bytes=MAX_DOCUMENT_BYTES)",
            "cose.open1(data, Kind.LOAD_CERTIFICATE, network, max_bytes=MAX_DOCUMENT_BYTES)[0]",
            f"{ON_ACCEPTANCE}::test_another_operators_load_is_worth_nothing",
        ),
        edit(
            "device: purse certificates are by a bank on the list",
            ACCEPTANCE,
            "return certificates.verify(raw, know.network, know.trust_list.bank_key(claimed.bank))",
            "return claimed",
            f"{FORGERIES}[a_certificate_by_a_false_bank]",
            "forgery",
        ),
        line(
            "device: whoever is on the list is there by the pinned root",
            DOCUMENTS,
            "x509.verify_issued_by(institution, root_key)",
            f"{ON_PURSE}::test_a_list_under_another_root_is_not_learnt",
        ),
        guard(
            "both: a payment's signature holds",
            MESSAGE,
            "not all(check.holds() for check in message.checks)",
            f"{FORGERIES}[a_flipped_bit_in_the_signature]",
            f"{ON_STEPS}::test_a_careless_payee_bears_what_it_took[signature-bad_signature]",
            "forgery",
        ),
    ),
    18: (
        guard(
            "a message has a length",
            CBOR,
            "len(data) > max_bytes",
            f"{ON_FUZZ}::test_bombs_are_refused_soon[one byte too long-cbor]",
        ),
        edit(
            "nesting has a depth",
            CBOR,
            "max_depth=MAX_CBOR_DEPTH,",
            "",
            f"{ON_FUZZ}::test_bombs_are_refused_soon[just too deep-cbor]",
        ),
        edit(
            "what is packed inflates so far",
            PROTOCOL,
            "inflater.decompress(packed, MAX_INFLATED_BYTES)",
            "inflater.decompress(packed)",
            f"{ON_PROTOCOL}::test_what_is_no_payload_is_refused[a bomb]",
        ),
        edit(
            "a list has an end",
            CBOR,
            'if len(value) > limit:\n        raise TooLarge(f"{what} has too many',
            'if False:\n        raise TooLarge(f"{what} has too many',
            f"{ON_PROTOCOL}::test_a_misshapen_bundle_is_refused",
        ),
        guard(
            "a payload text has a length",
            PROTOCOL,
            "len(text) > MAX_PAYLOAD_TEXT_CHARS",
            f"{ON_PROTOCOL}::test_what_is_no_payload_is_refused[too much text]",
        ),
    ),
}

TIME: dict[int, tuple[Defence, ...]] = {
    19: (
        edit(
            "payee: the latest time that it has seen signed counts beside its clock",
            ACCEPTANCE,
            "return max(self.clock_s, self.ledger_time_s)",
            "return self.clock_s",
            f"{FORGERIES}[an_expired_coin_by_signed_time]",
        ),
        edit(
            "payer: the payee's signed time counts beside its own clock",
            PURSE,
            "now_s = max(know.clock_s, know.ledger_time_s, invoice.ledger_time_s)",
            "now_s = know.clock_s",
            f"{ON_PURSE}::test_a_payer_whose_clock_is_set_back_still_pays_with_what_may_be_spent",
        ),
        line(
            "payee: no token past its day",
            ACCEPTANCE,
            "check_deadlines(tokens, know.now_s)",
            f"{FORGERIES}[an_expired_coin_by_the_shops_clock]",
        ),
        guard(
            "both: no token past its day by the invoice's signed time",
            JUDGE,
            "terms.ledger_time_s > spend_until_s",
            f"{ON_EVIDENCE}::test_a_token_is_spent_until_its_day",
        ),
    ),
    20: (
        guard(
            "payee: no invoice and no payment under a list that is too old",
            ACCEPTANCE,
            "age_s > self.policy.trust_list_days * DAY_S",
            f"{ON_ACCEPTANCE}::test_a_trust_list_is_stale_one_second_after_its_days",
            "time_limits",
        ),
        guard(
            "payer and ledger: no payment under a list that was too old",
            JUDGE,
            "terms.ledger_time_s - terms.trust_list_s > trust_list_days * DAY_S",
            f"{ON_EVIDENCE}::test_refused[stale trust list]",
        ),
        edit(
            "ledger: whoever took it too late bears it",
            LEDGER,
            " and time_s <= deadline_s:",
            ":",
            f"{ON_STEPS}::test_a_stale_and_careless_payee_of_a_revoked_purse_bears_it",
        ),
    ),
    21: (
        edit(
            "ledger: a payee who could not know is paid",
            LEDGER,
            "if terms.trust_list_s <= revoked_at_s and time_s <= deadline_s:",
            "if False:",
            f"{ON_EVIDENCE}::test_a_payee_who_could_not_know_is_paid",
            "time_limits",
        ),
        edit(
            "ledger: one who comes too late bears it",
            LEDGER,
            " and time_s <= deadline_s:",
            ":",
            f"{ON_EVIDENCE}::test_a_payee_who_synced_too_late_is_not",
            "time_limits",
        ),
        line(
            "ledger: an honest holder behind him is paid",
            LEDGER,
            "void += _put_void(draft, names, tokens, sorted({payer.key, payee.key} | barred))",
            f"{ON_EVIDENCE}::test_an_honest_holder_behind_an_acceptor_at_fault_is_paid",
        ),
    ),
    22: (
        guard(
            "payee: no invoice above the room that is left",
            PURSE,
            "amount_tiyn > know.headroom_tiyn",
            f"{ON_PURSE}::test_the_purse_leaves_room_even_where_its_element_has_not_seen_the_money",
        ),
        edit(
            "payee: the room is what the limit leaves above what is held",
            STORE,
            " - self.balance_tiyn())",
            ")",
            f"{ON_PURSE}::test_an_invoice_states_the_room_that_is_left",
        ),
        guard(
            "payer: no payment above the room that the invoice states",
            PURSE,
            "invoice.amount_tiyn > invoice.headroom_tiyn",
            f"{ON_PURSE}::test_a_bad_invoice_is_refused_before_anything_is_signed[above its own headroom]",
        ),
        guard(
            "payee: no more than the room is taken",
            ACCEPTANCE,
            "accepted.amount_tiyn > room_tiyn",
            f"{ON_ACCEPTANCE}::test_no_more_than_the_invoices_headroom",
        ),
        guard(
            "element: no more than it may hold is asked or taken",
            ELEMENT,
            "found > limit",
            f"{ON_ELEMENT}::test_it_takes_no_more_than_the_purse_may_hold",
        ),
        guard(
            "ledger: no load above the limit",
            GUARDS,
            "held_tiyn + added_tiyn > limit_tiyn",
            f"{ON_LOAD}::test_a_purse_holds_up_to_its_limit",
        ),
    ),
    23: (
        guard(
            "element: so many payments since the last sync",
            ELEMENT,
            "spends + 1 > limits.spends",
            f"{ON_ELEMENT}::test_no_more_payments_than_allowed_since_the_last_sync",
        ),
        guard(
            "element: a payment names the certificate whose limits it keeps",
            ELEMENT,
            "certificate_id != wanted",
            f"{ON_ELEMENT}::test_it_signs_under_its_installed_certificate_alone",
        ),
        guard(
            "element: a payment bears its next counters",
            ELEMENT,
            "(terms.counter, terms.spends) != (counter + 1, spends + 1)",
            f"{ON_ELEMENT}::test_what_breaks_a_limit_is_neither_signed_nor_noted",
        ),
        guard(
            "element: only the operator's fresh word starts the count again",
            ELEMENT,
            'sync.challenge != self._vault.get("element", _CHALLENGE)',
            f"{ON_ELEMENT}::test_the_same_sync_counts_once",
        ),
        guard(
            "payee and ledger: the counter that they see is within the limit",
            JUDGE,
            "terms.spends > limits.spends",
            f"{FORGERIES}[more_payments_than_allowed]",
            f"{ON_EVIDENCE}::test_refused[too many spends]",
        ),
    ),
    24: (
        edit(
            "ledger: nothing moves after final_at",
            LEDGER,
            "token.returned or time_s >= token.final_at_s",
            "False",
            f"{ON_EVIDENCE}::test_evidence_has_its_deadline",
        ),
        edit(
            "ledger: late is by its own time, not the payment's",
            LEDGER,
            "inputs = [_evidence_input(draft, name, time_s)",
            "inputs = [_evidence_input(draft, name, message.body.terms.ledger_time_s)",
            f"{ON_EVIDENCE}::test_evidence_has_its_deadline",
        ),
        edit(
            "device: what is final is no longer spendable",
            STORE,
            "token.final_at_s > now_s and ",
            "",
            f"{ON_PURSE}::test_what_is_final_is_no_longer_in_the_purse",
        ),
    ),
}

LOSS: dict[int, tuple[Defence, ...]] = {
    25: (
        line(
            "ledger: the owner's word puts the purse on the deny-list",
            NETWORK,
            "revoke_certificate(draft, body.certificate, time_s)",
            f"{ON_STEPS}::test_a_stolen_device_pays_until_its_freeze_arrives_and_no_more_than_it_held",
            "loss",
        ),
        guard(
            "ledger: a frozen purse unloads nothing",
            GUARDS,
            "holder.revoked_at_s",
            f"{ON_LOAD}::test_a_revoked_purse_unloads_nothing",
        ),
        edit(
            "ledger: what was not spent is online again at final_at",
            SWEEP,
            "purse.online_key or leaf.owner",
            "leaf.owner",
            f"{ON_STEPS}::test_a_lost_device_takes_no_part_and_its_owner_gets_its_money_at_the_end",
            "loss",
        ),
    ),
    26: (
        line(
            "device: whoever has heard of the freeze takes nothing",
            ACCEPTANCE,
            "know.trust_list.check_not_revoked(payer.id)",
            f"{ON_STEPS}::test_a_stolen_device_pays_until_its_freeze_arrives_and_no_more_than_it_held",
            "loss",
        ),
        edit(
            "ledger: whoever could not have heard is paid",
            LEDGER,
            "if terms.trust_list_s <= revoked_at_s and time_s <= deadline_s:",
            "if False:",
            f"{ON_STEPS}::test_a_stolen_device_pays_until_its_freeze_arrives_and_no_more_than_it_held",
            "loss",
        ),
        edit(
            "ledger: whoever took it all the same bears it",
            LEDGER,
            "if terms.trust_list_s <= revoked_at_s and time_s",
            "if time_s",
            f"{ON_STEPS}::test_what_a_stolen_device_paid_to_one_who_has_heard_is_borne_by_him",
        ),
        guard(
            "ledger: a purse is loaded up to its holding limit, so no thief gets more",
            GUARDS,
            "held_tiyn + added_tiyn > limit_tiyn",
            f"{ON_STEPS}::test_a_stolen_device_pays_until_its_freeze_arrives_and_no_more_than_it_held",
        ),
    ),
}

CASES = INTERRUPTION | FORKS | FORGERY | TIME | LOSS
