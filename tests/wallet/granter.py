"""A campaign in a process of its own, made to be killed: ``python -m tests.wallet.granter WALLET SOCKET PURPOSE LIST``.

It says ``signed`` for each batch as soon as that is in the journal and before the ledger sees it, ``paid`` when it has
its receipt, and ``done`` at the end.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cbdc.log.receipts import Receipt
from wallet import campaign as campaigns
from wallet import campaign_list
from wallet.purposes import PurposeWallet
from wallet.remote import RemotePort
from wallet.scenarios.wallets.local import PASSWORD
from wallet.vault import Vault


class Telling(RemotePort):
    """Says when something is handed in and when it is answered."""

    def submit(self, message: bytes) -> Receipt:
        print("signed", flush=True)
        receipt = super().submit(message)
        print("paid", flush=True)
        return receipt


def main(wallet: str, socket: str, purpose: str, path: str) -> None:
    vault = Vault.open(Path(wallet) / "wallet.db", PASSWORD)
    network: bytes = vault.get("wallet", b"network")
    port = Telling(Path(socket), network)
    listed = campaign_list.read(Path(path))
    campaigns.BATCH = 25  # type: ignore[misc] - more moments at which to be killed
    campaign = campaigns.Campaign(PurposeWallet(vault, network), port, bytes.fromhex(purpose), listed, "september")
    campaign.check_may_run(resume=True, is_named=False)
    check = campaign.check()
    check.require(skip=False)
    print("checked", flush=True)
    campaign.run(check)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
