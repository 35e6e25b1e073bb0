"""One side of an offline payment, as a program of its own: ``payee|payer ADDRESS FOLDER``.

An address of digits is a TCP port (0: a free one), any other a Unix socket's path. A payee writes its address on a
line as soon as it listens, and both write at the end, as JSON, what their purse then says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.wallet.paper import Device, Paper
from wallet.carriers.exchange import as_payee, as_payer
from wallet.carriers.socket import Address, Listener, SocketCarrier

PRICE, COIN = 45_00, 100_00
TIMEOUT_S = 30


def main(role: str, address: str, folder: str) -> None:
    where: Address = int(address) if address.isdigit() else Path(address)
    device = Device.make(Paper(), Path(folder), role)
    said = payee(device, where) if role == "payee" else payer(device, where)
    print(json.dumps(said | {"balance_tiyn": device.purse.balance_tiyn()}), flush=True)
    device.close()


def payee(device: Device, where: Address) -> dict[str, Any]:
    with Listener(where) as listener:
        print(listener.address, flush=True)
        with listener.accept(TIMEOUT_S) as link:
            receipt = as_payee(link, device.purse.invoice(PRICE), device.purse.accept, device.purse)
    return {"receipt": receipt.hex()}


def payer(device: Device, where: Address) -> dict[str, Any]:
    device.load(COIN)

    def finish(receipt: bytes) -> None:
        (sent,) = device.purse.sent()
        device.purse.finish(sent.id, receipt)

    with SocketCarrier.connect(where, TIMEOUT_S) as link:
        as_payer(link, device.purse.pay, finish, device.purse)
    (sent,) = device.purse.sent()
    return {"status": sent.status.name, "receipt": (sent.receipt or b"").hex()}


if __name__ == "__main__":
    main(*sys.argv[1:])
