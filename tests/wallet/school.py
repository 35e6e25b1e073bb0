"""A school: a town with a sponsor, its purpose, and as many pupils as are wanted, who are keys and nothing more."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cbdc.formats import certificates
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_ENROLMENTS
from cbdc.messages.bodies import Enrol
from cbdc.messages.message import build
from tests.support import seed
from tests.wallet.town import DAY_S, FUNDS_TIYN, Town
from wallet import campaign_list
from wallet.bank import BankDesk
from wallet.campaign import Campaign, Check
from wallet.port import LedgerPort

SPONSOR = "akimat"
TABLES: dict[str, Any] = {
    "wallet": [
        {"name": SPONSOR, "bank": "altyn", "kind": "sponsor"},
        {"name": "canteen", "bank": "altyn", "kind": "merchant", "mcc": "5812", "kato": "750000000"},
    ],
    "purpose": [
        {
            "name": "meals",
            "title": {"en": "Meals"},
            "sponsor": SPONSOR,
            "expires": "2026-03-01T00:00:00+05:00",
            "allow": {"payee_mcc": ["5812"]},
        }
    ],
}


def enrol(bank: BankDesk, port: LedgerPort, names: list[str], serial: str = "", days: int = 730) -> dict[str, bytes]:
    """Certify a key for each name; name -> public key. Another ``serial`` gives another key."""
    now_s = port.ledger_time_s()
    expires_s = now_s + days * DAY_S
    keys = {name: SigningKey(seed(f"pupil {name}{serial}")).public for name in names}
    raw = [
        certificates.issue(
            bank.key, bank.network, bank=bank.name, subject=name, key=key, issued_s=now_s, expires_s=expires_s
        )
        for name, key in keys.items()
    ]
    for start in range(0, len(raw), MAX_ENROLMENTS):
        body = Enrol(tuple(raw[start : start + MAX_ENROLMENTS]))
        port.submit(build(Kind.ENROL, body, [bank.key], bank.network))
    return keys


@dataclass
class School:
    """The sponsor has 1 000 tenge unless more is given."""

    town: Town
    directory: Path
    pupils: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def found(cls, directory: Path, pupils: int, funds_tiyn: int = FUNDS_TIYN) -> School:
        school = cls(Town.found(directory / "town", tables=TABLES), directory)
        if funds_tiyn > FUNDS_TIYN:
            school.fund(funds_tiyn - FUNDS_TIYN)
        school.pupils = enrol(school.town.bank, school.town.port, [f"pupil-{i:04}" for i in range(pupils)])
        return school

    @property
    def purpose(self) -> bytes:
        return self.town.economy.purposes["meals"]

    def fund(self, amount_tiyn: int) -> None:
        self.town.economy.issue("altyn", amount_tiyn)
        self.town.bank.fund(self.town.port, self.town[SPONSOR].key.public, amount_tiyn)

    def rows(self, amount: str = "1.50") -> list[dict[str, str]]:
        return [{"account": f"altyn/{name}", "amount": amount} for name in self.pupils]

    def write(self, rows: list[dict[str, str]], name: str = "list.csv") -> Path:
        path = self.directory / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(campaign_list.COLUMNS), restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def campaign(self, path: Path, port: Any = None, name: str = "september") -> Campaign:
        listed = campaign_list.read(path)
        return Campaign(self.town[SPONSOR], port or self.town.port, self.purpose, listed, name)

    def granted(self, port: Any = None) -> dict[str, int]:
        """What each pupil holds of the purpose, in tiyn."""
        held = (port or self.town.port).tokens_of([])
        for name, key in self.pupils.items():
            del name
            held |= (port or self.town.port).tokens_of([key])
        sums = dict.fromkeys(self.pupils.values(), 0)
        for token in held.values():
            assert token.purpose == self.purpose
            sums[token.owner] += token.amount_tiyn
        return {name: sums[key] for name, key in self.pupils.items()}

    def revoke(self, name: str) -> None:
        self.town.bank.revoke(self.town.port, self.pupils[name], "left the school")


def run(campaign: Campaign, *, skip: bool = False, **options: Any) -> Check:
    """Check and grant."""
    check = campaign.check(**options)
    check.require(skip=skip)
    campaign.run(check, skip=skip)
    return check
