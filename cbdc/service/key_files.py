"""An institution's key on disk: an encrypted PEM file (PKCS #8) that only its owner may read."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cbdc.errors import Malformed, TooLarge, WrongPassword
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_KEY_FILE_BYTES


def key_path(directory: Path, role: str) -> Path:
    """Where the key of a role ("governor", "operator") stands in a ledger's directory."""
    return directory / "keys" / f"{role}.pem"


def write_key(path: Path, seed: bytes, passphrase: str) -> None:
    """Write the key of a seed into a new file. Raises OSError, also if there is a file already."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    )
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(pem)


def read_key(path: Path, passphrase: str) -> SigningKey:
    """The key in a file. Raises as `read_seed`."""
    return SigningKey(read_seed(path, passphrase))


def read_seed(path: Path, passphrase: str) -> bytes:
    """The 32 secret bytes of the key in a file, for whoever issues X.509 with it as well.

    Raises:
        WrongPassword: the passphrase does not open it. Malformed, TooLarge: not such a file. OSError.
    """
    if path.stat().st_size > MAX_KEY_FILE_BYTES:
        raise TooLarge("too large for a key", path=path, limit=MAX_KEY_FILE_BYTES)
    pem = path.read_bytes()
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in pem:
        raise Malformed("not an encrypted private key", path=path)
    try:
        key = load_pem_private_key(pem, passphrase.encode())
    except (ValueError, UnsupportedAlgorithm):  # what a wrong passphrase decrypts to is sometimes a key of no kind
        raise WrongPassword("the passphrase does not open this key", path=path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Malformed("not an Ed25519 key", path=path)
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
