"""Where the program begins."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tui import start


class Interrupted(ModuleType):
    """A module in the reading of which somebody presses Ctrl-C."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


def test_ctrl_c_while_modules_are_read_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tui.main", Interrupted("tui.main"))
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
