"""Every bound on what comes from outside, in one table, each with its reason."""

from __future__ import annotations

from typing import Final

# --- money -------------------------------------------------------------------------------------

MAX_AMOUNT_TIYN: Final = 10**17
"""10^15 tenge, some twenty times Kazakhstan's broad money; a sum of 90 such still fits a signed 64-bit column."""

# --- bytes -------------------------------------------------------------------------------------

MAX_MESSAGE_BYTES: Final = 1 << 20
"""A reconcile of MAX_EVIDENCE payments of three hops fits; a decoder's work is bounded by it."""

MAX_CBOR_DEPTH: Final = 14
"""The deepest honest value is a purpose with MAX_CONDITION_DEPTH nested conditions, on a page of a ledger's answer."""

MAX_SEALED_BYTES: Final = 1024
"""A memo under HPKE; a log entry should not become a file store."""

MAX_REQUEST_BYTES: Final = 14 * 1024
"""A payee's request for an online payment: `MAX_INVOICE_LINES` lines with the longest categories."""

MAX_DOCUMENT_BYTES: Final = 512
"""A load or sync certificate: small enough to travel with a payment."""

MAX_RECEIPT_BYTES: Final = 32_768
MAX_NOTE_CHARS: Final = 16_384
"""A checkpoint with the signatures of some hundred witnesses."""

MAX_X509_BYTES: Final = 2048
"""An Ed25519 institution certificate takes about 400 bytes."""

MAX_CERTIFICATE_BYTES: Final = 512
"""A wallet certificate must leave room for the payment in one QR code."""

# --- counts ------------------------------------------------------------------------------------

MAX_INPUTS: Final = 256
MAX_OUTPUTS: Final = 256
"""One entry may pay a village's pensions; beyond that, send two. The output index is two bytes."""

MAX_SIGNATURES: Final = 16
"""Signature checks are the dearest thing a stranger can make the ledger do: 16 take about a millisecond."""

MAX_EVIDENCE: Final = 1000
"""Payments in one reconcile: a day of a busy shop; the group is committed as one."""

MAX_ENROLMENTS: Final = 500
"""Certificates in one enrol entry: a school."""

MAX_SWEEP: Final = 1000
"""Tokens in one sweep entry, so that no entry stalls the ledger."""

MAX_ANCESTRY: Final = 64
"""Payments in the ancestry of one offline payment: 2 inputs merged over 5 hops."""

MAX_LATE_SPENDS: Final = 2
"""Late payments kept for each output that they spend: two different ones prove a fork, a third proves nothing more."""

MAX_LATE_BEHIND: Final = 100
"""Late payments kept of one purse that spend nothing but what other late payments made. Such outputs cost their maker
only signatures, so their number bounds nothing; this is ten times the payments between two syncs."""

MAX_QUEUED: Final = 20_000
"""Messages that wait for the ledger; more are refused with `overloaded` instead of filling memory."""

MAX_QUEUED_BYTES: Final = 1 << 28
"""Bytes of the messages that have no answer yet: 13 KB for each that may wait, or 256 of the longest."""

MAX_BATCH: Final = 1000
"""Messages in one group commit: bounds the delay of the first by the work of the last."""

MAX_BATCH_BYTES: Final = 1 << 19
"""Bytes of messages in one group commit, unless one message alone has more: some thousand transfers or payments.
So memory and delay are bounded by the group also where messages are large, and the next group is verified meanwhile."""

MAX_PARTICIPANTS: Final = 1_000
"""Institutions on a trust list: every bank of the country, many times over."""

MAX_REVOKED: Final = 20_000
"""Certificates on a trust list: it must still fit a message and be read by a phone."""

MAX_COUNTER: Final = 1 << 32
"""A purse's payments in its life, hops, spends: four bytes are more than enough."""

MAX_SMALL: Final = 1_000
"""Counts in a certificate: tiers, spends between syncs, hops."""

MAX_LOG_INDEX: Final = 1 << 53
"""Entries of a log: what every language's numbers still hold exactly."""

MAX_PROOF_HASHES: Final = 64
"""An inclusion proof has one hash per level of the tree, and no tree has more levels than an index has bits."""

MAX_PROVED_AMOUNTS: Final = 16
"""Hidden amounts in one range proof: some 50 ms to verify alone and half a second to make; what is longer is split."""

# --- text and time -----------------------------------------------------------------------------

MAX_NAME_CHARS: Final = 48
MAX_TITLE_CHARS: Final = 120
MAX_REFERENCE_CHARS: Final = 200

MAX_TIME_S: Final = 253_402_300_799
"""9999-12-31T23:59:59Z: what every calendar library can still print."""

MAX_MEMO_CHARS: Final = 200
"""A memo, sealed, stays below MAX_SEALED_BYTES in any script."""

MAX_SCENARIO_BYTES: Final = 1 << 20
"""A scenario file: some twenty thousand steps."""

MAX_CAMPAIGN_BYTES: Final = 16 << 20
MAX_CAMPAIGN_ROWS: Final = 100_000
"""A sponsor's list of payees: a region's pupils; a country has several lists. Its journal is some ten megabytes."""

# --- conditions --------------------------------------------------------------------------------

MAX_CONDITION_DEPTH: Final = 4
MAX_CONDITION_NODES: Final = 64
MAX_CONDITION_LIST: Final = 256
"""Evaluation is one pass over the nodes for each payee of a transfer."""

MAX_LEDGER_CONDITIONS: Final = 8
"""Conditions of one definition that ask the ledger's memory: each reads records, for each payee of a transfer. A limit
by day, week and month, an approval and four documents are as many."""

MAX_DEFINITION_BYTES: Final = 32 * 1024
"""One purpose, encoded: the depth, nodes and lists above would allow nearly a megabyte, and every wallet keeps every
purpose. This is a thousand merchants by name; more of them are what categories and regions are for."""

MAX_PERIOD_DAYS: Final = 366
"""The longest window of a limit per period."""

MAX_PERIOD_SPENDS: Final = 400
"""Payments that the ledger remembers of one payer in one purpose: one a day for the longest window. Beyond that the two
oldest count as one at the later time, which can only hold back for longer."""

MAX_WAITING_DAYS: Final = 366
"""How long a payment may wait for approval or evidence: a season's harvest."""

MAX_WAITING_OUTPUTS: Final = 16
"""Outputs of a payment that waits: each is written when it is held, and again when it ends, by a sweep of many."""

MAX_MARK_HOPS: Final = 100
"""Payments that a mark may last: far above any chain of contractors."""

MAX_SPLIT_PARTS: Final = 1_000_000
"""Parts into which a rule may divide a payment: six digits express any tax rate."""

MAX_FACT_CHARS: Final = 48
MAX_FACTS: Final = 64
"""Facts that one oracle states about one payment or wallet: a record stays below 4 KB."""

MAX_ALLOWANCES: Final = 4
"""Purposes for which one purse may pay what would need the ledger: each is 40 bytes of a certificate in a QR code."""

# --- privacy -----------------------------------------------------------------------------------

RSA_BITS: Final = frozenset({2048, 3072, 4096})
"""Moduli of cash keys, in bits: a key and its notes live for months, and above 4096 bits signing costs too much."""

MAX_RSA_SPKI_BYTES: Final = 600
"""A public key of 4096 bits takes 598."""

MAX_NOTE_KEY_BYTES: Final = 700
"""A cash key's record with the longest public key and three times."""

MAX_NOTE_TENGE: Final = 1 << 14
"""The largest note is 16 384 tenge: below that, fifteen denominations make up any amount with few notes."""

MAX_EPOCH: Final = 1_000_000
"""Epochs of cash keys: one a day for millennia."""

MAX_NOTE_NUMBER: Final = (1 << 32) - 1
"""Notes of one wallet under one key: far above any allowance."""

MIN_QUORUM: Final = 2
"""Supervisors who must agree: one alone opens nothing."""

MAX_SUPERVISORS: Final = 16
"""Shares of one key: SLIP-0039 has four bits for their index."""

MAX_SHARE_BYTES: Final = 64
"""One opened share: 32 bytes, its index and its quorum."""

MAX_ENVELOPE_SECRETS_BYTES: Final = 8 * 1024
"""What an envelope holds: some forty outputs with owner, amount and blinding, and a memo."""

MAX_ENVELOPE_BYTES: Final = 11 * 1024
"""The longest secrets, padded, and 118 bytes for each of `MAX_SUPERVISORS`."""

# --- devices -----------------------------------------------------------------------------------

MAX_PAYLOAD_TEXT_CHARS: Final = 64 * 1024
MAX_INFLATED_BYTES: Final = 256 * 1024
"""An offline payload after decompression: a bomb stops here."""

MAX_PASSED_LIST_BYTES: Final = 32 * 1024
"""A trust list that one device passes on to another: a thousand denied purses; a longer one is fetched at a sync."""

MAX_PROOF_PAYMENTS: Final = 256
"""Payments that a purse keeps of others' forks until its next sync: four of the longest ancestries. It refused the
payment, so it loses nothing by keeping no more, and whoever forks without end must not fill its storage."""

FEW_COINS: Final = 16
"""Of each purpose, where all of a purse's coins do not fit one payment: four purposes of them fill an ancestry."""

MAX_AHEAD_S: Final = 86_400
"""How far a payee's word may be ahead of all that a payer knows of the time. Clocks are wrong by hours, and a payer who
knows no better is put right by the payee's trust list; but what is paid is undecided until the named time has come."""

MAX_INVOICE_LINES: Final = 64
"""Item lines on an invoice: a long till receipt."""

# --- carriers ----------------------------------------------------------------------------------

MAX_CLIPBOARD_CHARS: Final = 256 * 1024
"""The longest payload is some 72 000 characters as clipboard text; the rest is room for the mail around it."""

MAX_FRAMES: Final = 256
"""Numbered frames of one payload: the longest one in codes of version 9, under two minutes for a round."""

MAX_CARRIER_TIMEOUT_S: Final = 600
"""Two people who hold devices against each other: after ten minutes somebody has left."""

MIN_NAMED_ID_CHARS: Final = 8
"""The beginning of a payment's id, in hex digits, that may stand for it: what one purse holds never agrees that far."""

MAX_IMAGE_BYTES: Final = 32 << 20
"""A file with a picture: the largest photograph that a phone makes."""

MAX_IMAGE_PIXELS: Final = 50_000_000
"""One picture before it is unpacked: a phone's camera; some 400 MB at worst, with colours and transparency."""

MAX_ANIMATION_PIXELS: Final = 200_000_000
"""All pictures of an animated image together: MAX_FRAMES codes of version 9, with room; a few seconds of reading."""

# --- a ledger on a socket ----------------------------------------------------------------------

MAX_LEDGER_REQUEST_BYTES: Final = MAX_MESSAGE_BYTES + 4096
"""One request to a ledger: the largest is a message to be submitted."""

MAX_LEDGER_ANSWER_BYTES: Final = 1 << 24
"""One answer: far above a page of tokens or a trust list with all that it denies."""

MAX_LEDGER_PAGE_BYTES: Final = 1 << 20
"""Tokens or purposes in one answer; who has more asks on. So no number of them makes an answer too long."""

MAX_OWNERS: Final = 1000
"""Keys in one question about tokens: a wallet that takes a new key every day for years."""

MAX_CONNECTIONS: Final = 256
"""Wallets that one process answers at a time, a thread for each; who comes on top is told `overloaded`, and if many do
at once, hung up on."""

IDLE_CONNECTION_S: Final = 300
"""A connection on which nothing has come for so long is closed; the wallet makes a new one when it needs it."""

WALLET_WAIT_S: Final = 5
"""How long a command waits for a wallet that another command has open: in a pipe the one before is about to end, and
opening takes a second on a slow device; a `sell` that waits for its payer is not waited for."""

LEDGER_ANSWER_S: Final = 60
"""How long a wallet waits for an answer, and for a ledger that broke off to come back: a restart takes seconds."""

MAX_KEY_FILE_BYTES: Final = 16_384
"""An encrypted Ed25519 key takes some 400 bytes."""

MAX_DUE_ROWS: Final = 1000
"""Records looked at under one lock for what has fallen due, and outputs of payments that wait: 0.1 s at most."""

MAX_DUE_PAGES: Final = 16
"""So many pages in which nothing was due end a sweep; the next one goes on from there."""

SWEEP_EVERY_S: Final = 60
"""How often a ledger that is served moves what has fallen due: deadlines are days, a minute's delay is nothing."""

# --- secure element ----------------------------------------------------------------------------

MAX_ELEMENT_FRAME_BYTES: Final = MAX_MESSAGE_BYTES + 4096
"""One request to a secure element or its answer: the largest carries a trust list, and a certificate beside it."""

MAX_PIN_BYTES: Final = 1024
"""A PIN or, where the owner has only one secret, the wallet's password."""

PIN_TRIES: Final = 10
"""Wrong PINs in a row until an element locks for good: a thief finds one of four digits once in a thousand times."""

PIN_FREE_TRIES: Final = 3
"""Wrong PINs in a row before the waiting begins: people mistype."""

PIN_MAX_WAIT_MS: Final = 60_000
"""The waiting doubles from a second up to this: a person stands there, and `PIN_TRIES` is what stops a thief."""

ELEMENT_ANSWER_S: Final = 30
"""How long a wallet waits for its element: opening with Argon2id on a slow phone takes seconds, all else far less."""

MAX_KDF_ITERATIONS: Final = 16
MAX_KDF_LANES: Final = 16
MAX_KDF_MEMORY_KIB: Final = 1 << 20
"""What making an element may ask of Argon2id: a gibibyte is more than a phone gives to one program."""
