"""Carriers: how the bytes of a message get from one device to the other. The same bytes on all of them.

A file, clipboard text, QR codes, numbered frames and sockets: docs/spec.md section 12 has the formats,
docs/adr/0014-carriers.md the reasons. No carrier is trusted: what it brings is damaged until it is proven whole, and
whole is not yet honest, which only the signatures say.
"""

from wallet.carriers.base import Carrier
from wallet.carriers.file import FileCarrier
from wallet.carriers.memory import MemoryCarrier

__all__ = ["Carrier", "FileCarrier", "MemoryCarrier"]
