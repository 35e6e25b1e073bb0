"""How a payment divides, said before it is signed: which purpose pays how much, what goes elsewhere, what it awaits."""

from __future__ import annotations

from typing import Annotated

import typer

from cbdc.amounts import format_tenge, show_tenge
from cbdc.purposes.words import LANGUAGES, say
from wallet.plan import Part, Plan


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise typer.BadParameter(f"one of {', '.join(LANGUAGES)}")
    return language


Language = Annotated[str, typer.Option("--language", "-l", callback=_known, help="en, kk or ru.")]


def plan_lines(plan: Plan | None, language: str = "en") -> list[str]:
    """A line for each kind of money; none where there is nothing to say but that it is free money."""
    if plan is None or all(part.definition is None for part in plan.parts):
        return []
    return [_line(part, language) for part in plan.parts]


def _line(part: Part, language: str) -> str:
    definition = part.definition
    if definition is None:
        return f"{show_tenge(part.amount_tiyn)} of free money"
    said = f"{show_tenge(part.amount_tiyn)} of {definition.title(language)} ({definition.name})"
    if definition.split is not None and part.split_tiyn:
        said += f", of it {show_tenge(part.split_tiyn)} to {definition.split.to}"
    waits = [say(refusal.wanted, language) for refusal in part.waits]
    return said + (f"; waits for {'; '.join(dict.fromkeys(waits))}" if waits else "")


def plan_facts(plan: Plan, language: str) -> dict[str, object]:
    """A plan for JSON."""
    return {
        "to": plan.payee,
        "amount": format_tenge(plan.amount_tiyn),
        "parts": [_facts(part, language) for part in plan.parts],
        "waits": bool(plan.waits),
    }


def _facts(part: Part, language: str) -> dict[str, object]:
    definition, amount = part.definition, format_tenge(part.amount_tiyn)
    if definition is None or part.purpose is None:
        return {"purpose": None, "amount": amount}
    return {
        "purpose": part.purpose.hex(),
        "name": definition.name,
        "title": definition.title(language),
        "amount": amount,
        "split": format_tenge(part.split_tiyn),
        "split_to": definition.split.to if definition.split else None,
        "waits_for": list(dict.fromkeys(say(refusal.wanted, language) for refusal in part.waits)),
    }
