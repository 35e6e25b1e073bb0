"""Weaknesses that are reported and not mended yet; each has a strict xfail test that ends with it."""

from __future__ import annotations

from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import InvalidVersion

X509_ESCAPES = (InvalidVersion, CryptographyDeprecationWarning)
"""What `x509.parse` lets through for a version or a serial number that RFC 5280 forbids."""
