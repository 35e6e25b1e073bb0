"""Where a scenario plays: ledger and wallets in this process, or each in a process of its own."""

from wallet.scenarios.setting.interface import Founding, Setting, SettingMaker
from wallet.scenarios.setting.one_process import OneProcess
from wallet.scenarios.setting.processes import ManyProcesses

__all__ = ["Founding", "ManyProcesses", "OneProcess", "Setting", "SettingMaker"]
