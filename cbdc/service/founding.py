"""Founding a network, and the messages that institutions sign: thin builders over `cbdc.messages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbdc.formats import x509
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build, countersign
from cbdc.policy import DAY_S, Policy

_YEARS_S: Final = 3650 * DAY_S
GOVERNOR_NAME: Final = "National Bank"


@dataclass(frozen=True, slots=True)
class Governor:
    """The governor's desk: holds the root seed and signs what only the governor may. ``repr`` shows no secret."""

    _seed: bytes
    key: SigningKey
    name: str

    @classmethod
    def from_seed(cls, seed: bytes, name: str = GOVERNOR_NAME) -> Governor:
        return cls(seed, SigningKey(seed), name)

    @property
    def network(self) -> bytes:
        """The network's identity: the root's public key."""
        return self.key.public

    def __repr__(self) -> str:
        return f"Governor({self.name!r}, {self.key!r})"

    def certify(self, name: str, role: Role, key: bytes, now_s: int) -> bytes:
        """X.509 for an institution, valid for ten years from ``now_s``; DER."""
        return x509.issue(
            name,
            role,
            key,
            issuer_name=self.name,
            issuer_seed=self._seed,
            not_before_s=now_s,
            not_after_s=now_s + _YEARS_S,
            serial=1 + int.from_bytes(tagged("x509 serial", key)[:8], "big"),
        )

    def genesis(self, network_name: str, operator_name: str, operator_key: bytes, policy: Policy, now_s: int) -> bytes:
        """The first message of a ledger."""
        root = x509.parse(self.certify(self.name, Role.GOVERNOR, self.key.public, now_s))
        operator = x509.parse(self.certify(operator_name, Role.OPERATOR, operator_key, now_s))
        body = bodies.Genesis(network_name, root, operator, policy)
        return build(Kind.GENESIS, body, [self.key], self.network)

    def admit_bank(self, name: str, key: bytes, now_s: int) -> bytes:
        return self.admit(name, Role.BANK, key, now_s)

    def admit(self, name: str, role: Role, key: bytes, now_s: int) -> bytes:
        """Let a bank, an oracle or an approver take part."""
        institution = x509.parse(self.certify(name, role, key, now_s))
        return build(Kind.ADMIT, bodies.Admit(institution), [self.key], self.network)

    def dismiss(self, name: str, reference: str) -> bytes:
        return build(Kind.DISMISS, bodies.Dismiss(name, reference), [self.key], self.network)

    def set_policy(self, policy: Policy, nonce: bytes) -> bytes:
        return build(Kind.POLICY, bodies.SetPolicy(policy, nonce), [self.key], self.network)

    def agree(self, raw: bytes) -> bytes:
        """Countersign what needs the governor's consent as well, such as a recall."""
        return countersign(raw, self.key, self.network)

    def issue(self, bank_key: bytes, amount_tiyn: int, nonce: bytes) -> bytes:
        """Create tenge for a bank."""
        body = bodies.Issue((Output(bank_key, amount_tiyn, None),), nonce)
        return build(Kind.ISSUE, body, [self.key], self.network)
