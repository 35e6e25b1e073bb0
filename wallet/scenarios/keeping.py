"""What makes a kept scenario go on by hand: the keys of its ledger, as `tenge ledger init` leaves them.

They come from the seed in the scenario's file and stand under a passphrase that everybody knows: nothing is protected.
"""

from __future__ import annotations

from pathlib import Path

from cbdc.service.key_files import key_path, write_key
from wallet.scenarios.chance import SeededRandom
from wallet.scenarios.economy import GOVERNOR_CHANCE
from wallet.scenarios.schema import Scenario
from wallet.scenarios.setting.ledger_process import OPERATOR_CHANCE
from wallet.scenarios.wallets.local import PASSWORD

__all__ = ["PASSWORD", "write_keys"]


def write_keys(scenario: Scenario, directory: Path) -> None:
    """Write the keys of everybody but the wallets beside the ledger of a scenario that was played in a directory.

    An institution's file is called by its role and name: ``oracle-agro.pem``.
    """
    names = {"bank": [bank.name for bank in scenario.banks], "oracle": scenario.oracles, "approver": scenario.approvers}
    others = [(f"{role} {name}", f"{role}-{name}") for role, of_role in names.items() for name in of_role]
    for chance, file in ((GOVERNOR_CHANCE, "governor"), (OPERATOR_CHANCE, "operator"), *others):
        write_key(key_path(directory / "ledger", file), SeededRandom(scenario.seed, chance)(32), PASSWORD)
