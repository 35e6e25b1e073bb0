"""A report as one HTML page that needs nothing else: no script, no font, no picture, no reference to any place.

Whatever a scenario says (titles, names, notes) is escaped; a content security policy forbids the rest.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from pathlib import Path

from cbdc.amounts import parse_tenge, show_tenge
from cbdc.errors import AlreadyThere, FileTrouble
from cbdc.service.forks import ProvenFork
from wallet.scenarios.drawing import describe_move, describe_output, svg
from wallet.scenarios.report import FORK_MEANING, ForkReport, Report, describe_fork, describe_offline
from wallet.scenarios.routes import Move
from wallet.scenarios.runner import StepResult
from wallet.scenarios.schema import Scenario, Step

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_NO_TREES = "<p>No purse was loaded: there are no routes.</p>"


def check_free(path: Path, *, force: bool) -> None:
    """Whether a page may be written there; asked before a long play as well as after it.

    Raises:
        AlreadyThere: something is there, and ``force`` is not set. FileTrouble: a file cannot be put there.
    """
    if path.is_dir() or not path.parent.is_dir():
        reason = "that is a directory" if path.is_dir() else "there is no such directory"
        raise FileTrouble("no page can be written there", path=path, reason=reason)
    if path.exists() and not path.is_file():
        raise FileTrouble("no page can be written there", path=path, reason="that is no file")
    if path.exists() and not force:
        raise AlreadyThere("there is a file already; --force replaces it", path=path)
    _put(path, None)


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the page whole or not at all.

    Raises:
        AlreadyThere, FileTrouble: as `check_free`, or the system refuses.
    """
    check_free(path, force=force)
    _put(path, text)


def _put(path: Path, text: str | None) -> None:
    """Write beside it and move that to its place; without a text only try whether a file can be made there."""
    whole = path.with_name(path.name + ".part")
    try:
        whole.write_text(text or "", encoding="utf-8")
        if text is None:
            whole.unlink()
        else:
            whole.replace(path)
    except OSError as error:
        with suppress(OSError):
            whole.unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        raise FileTrouble("no page can be written there", path=path, reason=reason) from None


def render(scenario: Scenario, report: Report) -> str:
    """The page."""
    style = resources.files("wallet.scenarios").joinpath("page.css").read_text(encoding="utf-8")
    title = _safe(report.title)
    parts = (_summary(report), _holdings(report), _trees(report), _forks(report), _steps(scenario, report))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _safe(text: object) -> str:
    return html.escape(str(text))


def _money(amount: str) -> str:
    return show_tenge(parse_tenge(amount))


def _table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[str]], amounts: frozenset[int]) -> str:
    """A table of cells that are HTML already; ``amounts`` are the columns to align right."""

    def cell(tag: str, index: int, text: str, scope: str = "") -> str:
        kind = ' class="amount"' if index in amounts else ""
        return f"<{tag}{kind}{scope}>{text}</{tag}>"

    head = "".join(cell("th", i, _safe(text), ' scope="col"') for i, text in enumerate(heads))
    body = ""
    for row in rows:
        first, *others = row
        body += (
            f'<tr><th scope="row">{first}</th>' + "".join(cell("td", i, t) for i, t in enumerate(others, 1)) + "</tr>\n"
        )
    return (
        f'<div class="scroll"><table><caption>{_safe(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>"
    )


# --- the parts ---------------------------------------------------------------------------------


def _summary(report: Report) -> str:
    if report.ok:
        verdict = '<p class="verdict ok">✓ Every step did what it says, and every invariant held.</p>'
    else:
        steps = ", ".join(str(step.number) for step in report.steps if not step.ok) or "none"
        broken = ", ".join(name for name, holds in report.invariants.items() if not holds) or "none"
        verdict = f'<p class="verdict failed">✗ Failed: steps {steps}; invariants {_safe(broken)}.</p>'
    checks = [
        (_safe(name), '<span class="good">✓ held</span>' if holds else '<strong class="bad">✗ broken</strong>')
        for name, holds in report.invariants.items()
    ]
    sums = report.supply
    supply = {
        "issued": sums.issued_tiyn,
        "redeemed": sums.redeemed_tiyn,
        "in circulation": sums.issued_tiyn - sums.redeemed_tiyn,
        "of it online": sums.online_tiyn,
        "of it in the offline pool": sums.pool_tiyn,
        "of it in reserves": sums.reserves_tiyn,
    }
    money = [(name, show_tenge(tiyn)) for name, tiyn in supply.items()]
    return (
        f"{verdict}\n<p>Re-executed from the log’s bytes: {report.log_size} entries, {report.signatures_verified} "
        f"signatures. Receipts verified with their inclusion proofs: {report.receipts_verified}.</p>\n"
        '<div class="side">'
        + _table("Supply", ("supply", "tenge"), money, frozenset({1}))
        + _table("What was checked", ("invariant", "outcome"), checks, frozenset())
        + f"</div>\n<p>Log root <code>{report.log_root.hex()}</code><br>"
        f"State root <code>{report.state_root.hex()}</code><br>"
        f"The governor’s root key <code>{report.root_key.hex()}</code></p>"
    )


def _holdings(report: Report) -> str:
    wallets = [
        (
            _safe(name),
            _money(wallet["online"]),
            _safe(describe_offline(wallet)),
            _money(wallet["pending"]),
            "<br>".join(f"{_money(amount)} for {_safe(purpose)}" for purpose, amount in wallet["marked"].items()),
        )
        for name, wallet in report.wallets.items()
    ]
    banks = [
        (_safe(name), *(_money(bank[field]) for field in ("online", "reserve", "claims")))
        for name, bank in report.banks.items()
    ]
    heads = ("wallet", "online", "offline", "pending", "bound to a purpose")
    return (
        '<h2>Who holds what</h2>\n<div class="side">'
        + _table("Wallets", heads, wallets, frozenset({1, 2, 3}))
        + _table("Banks", ("bank", "online", "reserve", "owes the pool"), banks, frozenset({1, 2, 3}))
        + "</div>"
    )


def _trees(report: Report) -> str:
    head = (
        "<h2>Where each load went</h2>\n<p>From left to right: a payment (square) makes outputs (round), and the "
        "next one spends them; what stays with its holder is one box. An output that is spent twice is a fork.</p>\n"
    )
    return head + ("\n".join(_tree(n, route) for n, route in enumerate(report.routes, 1)) or _NO_TREES)


def _tree(number: int, route: Move) -> str:
    label = f"{number}. {describe_move(route)}"
    return (
        f"<h3>{_safe(label)}</h3>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_safe(label)}">{svg(route, label)}</div>\n'
        f"<details><summary>The same as text</summary>\n<ul>{_outline(route)}</ul></details>"
    )


def _outline(move: Move) -> str:
    inner = "".join(
        f"<li>{_safe(describe_output(output))}<ul>{''.join(map(_outline, output.spends))}</ul></li>"
        if output.spends
        else f"<li>{_safe(describe_output(output))}</li>"
        for output in move.outputs
    )
    return f"<li>{_safe(describe_move(move))}{f'<ul>{inner}</ul>' if inner else ''}</li>\n"


def _forks(report: Report) -> str:
    if not report.forks:
        return "<h2>Forks</h2>\n<p>No output was spent more than once.</p>"
    return "<h2>Forks</h2>\n" + "\n".join(_fork(fork, report.root_key.hex()) for fork in report.forks)


def _fork(fork: ForkReport, root: str) -> str:
    proofs = "".join(_proof(output, root) for output in fork.outputs)
    return (
        f'<section class="fork"><h3>{_safe(describe_fork(fork))}</h3>\n<p>{FORK_MEANING}</p>\n'
        + (proofs or "<p>It passed on tokens that were never money; no output of it was spent twice.</p>")
        + "</section>"
    )


def _proof(fork: ProvenFork, root: str) -> str:
    name = fork.outpoint.hex()[:16]
    data = base64.b64encode(fork.proof).decode()
    spends = ", ".join(f"<code>{spend.hex()[:16]}</code>" for spend in fork.spenders)
    return (
        f"<p>Output <code>{name}</code>, worth {show_tenge(fork.amount_tiyn)}, was spent {len(fork.spenders)} times: "
        f"by {spends}. The proof holds under the governor’s root key alone.</p>\n"
        f'<p><a class="button" download="{name}.fraud" href="data:application/octet-stream;base64,{data}">'
        f"Proof {name}.fraud ({len(fork.proof)} bytes)</a></p>\n"
        f"<pre><code>tenge fraud verify {name}.fraud --root {root}</code></pre>\n"
    )


def _steps(scenario: Scenario, report: Report) -> str:
    by_number = {step.number: step for step in scenario.steps}
    rows = [_step_row(result, by_number.get(result.number)) for result in report.steps]
    return "<h2>Steps</h2>\n" + _table("In the order played", ("n", "step", "outcome", "detail"), rows, frozenset())


def _step_row(result: StepResult, step: Step | None) -> tuple[str, str, str, str]:
    outcome = '<span class="good">✓ done</span>' if result.ok else '<strong class="bad">✗ failed</strong>'
    if result.code and result.ok:
        outcome = f'<span class="warn">✓ refused, as it must be: <code>{_safe(result.code)}</code></span>'
    elif result.code:
        outcome += f": <code>{_safe(result.code)}</code>"
    note = f'<br><span class="dim">{_safe(step.note)}</span>' if step and step.note else ""
    return str(result.number), _safe(result.do), outcome, _safe(result.detail) + note
