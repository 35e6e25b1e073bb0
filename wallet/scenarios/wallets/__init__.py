"""A scenario's wallets: in this process, or each in a process of its own, behind one interface."""

from wallet.scenarios.wallets.interface import PlayedWallet
from wallet.scenarios.wallets.local import LocalWallet

__all__ = ["LocalWallet", "PlayedWallet"]
