"""What a scenario needs of the place where it plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cbdc.service.ledger import Identity
from cbdc.service.queries import Queries
from wallet.port import LedgerPort
from wallet.scenarios.chance import ManualClock
from wallet.scenarios.wallets import PlayedWallet


@dataclass(frozen=True, slots=True)
class Founding:
    """What a setting is made of: an empty directory, the scenario's seed, who the ledger is, the right time."""

    directory: Path
    seed: int
    identity: Identity
    clock: ManualClock

    @property
    def ledger_path(self) -> Path:
        return self.directory / "ledger" / "ledger.db"

    def wallet_directory(self, name: str) -> Path:
        return self.directory / "wallets" / name


class Setting(Protocol):
    """A ledger and wallets that are played on."""

    restarts: int
    """How often the ledger died and was started again."""

    rests: int
    """How often it was stopped because no wallet had a way to it."""

    @property
    def queries(self) -> Queries:
        """The committed state, for whoever looks on."""

    @property
    def port(self) -> LedgerPort:
        """The institutions' way to the ledger; a message that meets a dying one is handed in again, byte for byte."""

    def set_time(self, now_s: int) -> None:
        """Move ledger time; the wallets' clocks follow it."""

    def crash_next(self, at: str) -> None:
        """The ledger dies once in its next commit: ``before_commit`` or ``after_commit``."""

    def create_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> PlayedWallet:
        """Make a wallet in its own directory, connected; ``chance`` names its random numbers."""

    def open_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> PlayedWallet:
        """Open a wallet that is there, with the network as it was or, if it is new, connected."""

    def connect(self, name: str) -> None:
        """Give a wallet its way to the ledger."""

    def cut(self, name: str) -> None:
        """Take it away."""

    def rest(self) -> None:
        """Stop the ledger if no wallet has a way to it; whoever needs it next starts it again."""

    def close(self) -> None:
        """Let go of every file."""


SettingMaker = Callable[[Founding], Setting]
