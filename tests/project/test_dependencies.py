"""pyproject.toml says what is needed, requirements.txt exactly which files that is."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


UNPINNED = {"fuzz"}
"""Extras that no target of the Makefile installs."""


def wanted() -> list[Requirement]:
    """Every dependency of the project, its pinned extras and its build."""
    optional = PROJECT["project"]["optional-dependencies"]
    assert set(optional) > UNPINNED
    extras = [line for extra, lines in optional.items() if extra not in UNPINNED for line in lines]
    return [
        Requirement(line) for line in PROJECT["project"]["dependencies"] + extras + PROJECT["build-system"]["requires"]
    ]


def pinned() -> dict[str, tuple[Version, int]]:
    """Name -> (version, number of hashes) in requirements.txt."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            requirement = Requirement(line.split(" --hash")[0].strip())
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            pins[canonicalize_name(requirement.name)] = (Version(specifier.version), len(HASH.findall(line)))
    return pins


PINS = pinned()


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    version, hashes = PINS[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert hashes > 0


def test_every_pin_has_a_hash() -> None:
    assert len(PINS) >= len(wanted()) / 2
    assert {name for name, (_, hashes) in PINS.items() if not hashes} == set()


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_every_dependency_states_a_lower_bound(requirement: Requirement) -> None:
    assert [specifier.operator for specifier in requirement.specifier] == [">="]


def test_what_is_installed_is_what_is_pinned() -> None:
    installed = {canonicalize_name(d.name): Version(d.version) for d in metadata.distributions()}
    pins = {name: version for name, (version, _) in PINS.items()}
    assert {name: installed.get(name, pin) for name, pin in pins.items()} == pins
    assert {canonicalize_name(r.name) for r in wanted()} <= set(installed)
