"""Every error of the ledger and the wallet, as one tree.

Each class has a stable ``code``: programs match on it, people read the message. An error carries the
values that explain it (what was found, what was wanted) in ``values``; secrets never go in there.
"""

from __future__ import annotations

from typing import ClassVar


class TengeError(Exception):
    """Root of the tree. ``values`` are the facts behind the refusal, all of them public."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.values = values

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={_show(value)}" for name, value in self.values.items())
        return f"{self.message} ({facts})" if facts else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.values)

    def to_json(self) -> dict[str, object]:
        """The error as plain JSON values, for ``--json`` output."""
        return {
            "code": self.code,
            "message": self.message,
            **{name: _show(value) for name, value in self.values.items()},
        }


def _rebuild(kind: type[TengeError], message: str, values: dict[str, object]) -> TengeError:
    return kind(message, **values)


def _show(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | str) else str(value)


# --- form and size -----------------------------------------------------------------------------


class FormError(TengeError):
    """The bytes are not a message of ours."""


class Malformed(FormError):
    """Not the shape that a format asks for."""

    code = "malformed"


class NotCanonical(FormError):
    """The value is right but spelled differently from RFC 8949 section 4.2.1."""

    code = "not_canonical"


class TooLarge(FormError):
    """Above a bound of `cbdc.limits`."""

    code = "too_large"


# --- signatures, certificates, roles -----------------------------------------------------------


class BadSignature(TengeError):
    """A signature does not hold, strictly, for this key, kind and network."""

    code = "bad_signature"


class NotEnrolled(TengeError):
    """A key or certificate that no admitted bank vouches for."""

    code = "not_enrolled"


class CertificateRevoked(TengeError):
    """On the deny-list."""

    code = "certificate_revoked"


class CertificateExpired(TengeError):
    """Past its validity."""

    code = "certificate_expired"


class TrustListStale(TengeError):
    """The device has not synced for longer than the policy allows."""

    code = "trust_list_stale"


class RoleRefused(TengeError):
    """The signer may not do this at all."""

    code = "role_refused"


class NotSponsor(TengeError):
    """Only the purpose's sponsor may do this."""

    code = "not_sponsor"


class NotOwner(TengeError):
    """Not signed by exactly the owners of what is spent."""

    code = "not_owner"


# --- time, spending, amounts -------------------------------------------------------------------


class Expired(TengeError):
    """Past the time until which it may be used."""

    code = "expired"


class TooLate(TengeError):
    """Evidence after ``final_at``: kept, but it moves nothing."""

    code = "too_late"


class DoubleSpend(TengeError):
    """The token has left the unspent set; ``winner`` is the entry that took it."""

    code = "double_spend"


class Replayed(TengeError):
    """Carried out before; it counts once."""

    code = "replayed"


class InsufficientFunds(TengeError):
    """Not enough money that may be spent there."""

    code = "insufficient_funds"


class AmountMismatch(TengeError):
    """Value would appear or vanish."""

    code = "amount_mismatch"


class AncestryBroken(TengeError):
    """A token cannot be traced back to what the ledger knows."""

    code = "ancestry_broken"


class WrongPayee(TengeError):
    """Meant for somebody else."""

    code = "wrong_payee"


class ReserveShort(TengeError):
    """The bank owes the offline pool."""

    code = "reserve_short"


class Unsettled(TengeError):
    """Something is under way that would be lost sight of: sync first."""

    code = "unsettled"


# --- limits, purposes, privacy -----------------------------------------------------------------


class LimitPayment(TengeError):
    """Above the limit for one payment."""

    code = "limit_payment"


class LimitHolding(TengeError):
    """Above what may be held."""

    code = "limit_holding"


class LimitSpends(TengeError):
    """More payments since the last sync than allowed."""

    code = "limit_spends"


class LimitHops(TengeError):
    """Too many changes of owner since the load."""

    code = "limit_hops"


class PurposeRefused(TengeError):
    """A spending condition said no; ``condition``, ``found`` and ``wanted`` say which and why."""

    code = "purpose_refused"


class PurposeMismatch(TengeError):
    """The tokens and the payment name different purposes."""

    code = "purpose_mismatch"


class PrivacyLimit(TengeError):
    """Above what a privacy level allows."""

    code = "privacy_limit"


class QuorumNotMet(TengeError):
    """Not enough of those who must agree."""

    code = "quorum_not_met"


# --- the machinery -----------------------------------------------------------------------------


class Unreachable(TengeError):
    """No way to the ledger or the element now; nothing is known to have been decided: send the same bytes again."""

    code = "unreachable"


class Overloaded(Unreachable):
    """The queue is full; the message was not taken in."""

    code = "overloaded"


class WrongNetwork(TengeError):
    """The ledger at the other end is not of the network that this wallet is pinned to."""

    code = "wrong_network"


class AlreadyThere(TengeError):
    """A file would be overwritten, or a directory is not empty."""

    code = "already_there"


class Declined(TengeError):
    """Whoever was asked said no; nothing was signed."""

    code = "declined"


class CampaignChanged(TengeError):
    """A list of payees that was begun is another by now; ``campaign`` is what it was begun as."""

    code = "campaign_changed"


class CampaignRefused(TengeError):
    """Rows of a list of payees cannot be paid; nothing was signed."""

    code = "campaign_refused"


class LedgerBusy(TengeError):
    """Another process writes this ledger."""

    code = "ledger_busy"


class LedgerCorrupt(TengeError):
    """What is on disk is not what the log says; ``where`` names the place."""

    code = "ledger_corrupt"


class FileTrouble(TengeError):
    """A file or directory is not there, or the operating system refuses it; ``path`` and ``reason`` say."""

    code = "io_error"


class ProofInvalid(TengeError):
    """A checkpoint, inclusion proof or consistency proof does not hold."""

    code = "proof_invalid"


class WrongPassword(TengeError):
    """The password does not open it."""

    code = "wrong_password"


class WrongPin(TengeError):
    """The PIN does not open the secure element; ``tries_left`` says how often it may still be tried."""

    code = "wrong_pin"


class PinLocked(TengeError):
    """The PIN was wrong too often: not before ``wait_s`` seconds, or, with ``for_good``, never again."""

    code = "pin_locked"


class WalletCorrupt(TengeError):
    """What is on disk is not a wallet, or was changed."""

    code = "wallet_corrupt"


class InvariantViolation(TengeError):
    """The ledger was about to break one of its own laws: a defect, never the user's doing."""

    code = "invariant_violation"
