"""The secure element: the one part of a purse that an attacker is not supposed to get into."""

from __future__ import annotations

from wallet.element.client import ElementProcess
from wallet.element.core import SimulatedElement
from wallet.element.interface import ElementMaker, SecureElement
from wallet.element.lost import LostElement

__all__ = ["ElementMaker", "ElementProcess", "LostElement", "SecureElement", "SimulatedElement"]
