"""Renders change.html: one file that fetches nothing and needs no script.

Every value is masked of secrets, escaped, and its control characters made visible.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from hale.files import atomic
from hale.model.errors import UserError
from hale.redact import redact
from hale.report.change import words
from hale.report.change.comparison import Movement
from hale.report.change.model import ChangeReport, ChangeState, Outcome
from hale.report.change.view import (
    diff_lines,
    host_groups,
    impacts,
    open_results,
    phases,
    result_matrix,
)
from hale.report.jinja import code_spans, escape_text, inline_asset, templates
from hale.report.text import escape_controls, fold_hostnames
from hale.report.verdicts import PRESENTATION

NAME = "change.html"
TEMPLATE = "change.jinja2"
_STYLE = "change.css"
# What lies beside the page in the folder of a run, and how the page names it.
_BESIDE = {
    "before/report.html": "audit before",
    "gate/report.html": "audit before",
    "after/report.html": "audit afterwards",
    "report.html": "measurements",
    "plan.json": "plan",
    "journal.jsonl": "journal",
}


def render(report: ChangeReport) -> str:
    """The page."""
    verdict = words.verdict(report)
    return (
        _templates()
        .get_template(TEMPLATE)
        .render(
            title=escape_controls(f"Hale {words.subject(report)}: {verdict}"),
            style=inline_asset(_STYLE),
            policy=_policy(),
            report=report,
            verdict=verdict,
            tone=words.tone(report),
            subject=words.subject(report),
            warnings=words.warnings(report),
            approval=words.approval(report),
            reversal=words.reversal(report),
            impacts=impacts(report),
            impact_note=words.impact_note(report),
            groups=host_groups(report),
            matrix=result_matrix(report.comparison),
            failing=open_results(report),
            counts=words.counts(report),
            fold=fold_hostnames,
            lines=diff_lines,
            phases=phases,
            spans=lambda text: code_spans(redact(text)),
            sign=lambda verdict: PRESENTATION[verdict].sign if verdict else "·",
            seconds=lambda value: f"{value:.1f} s",
            Movement=Movement,
            Outcome=Outcome,
            planned=report.state is ChangeState.PLANNED,
        )
    )


def save(report: ChangeReport, path: Path) -> None:
    """Write the page atomically, readable by the operator alone. Raises UserError."""
    atomic.write(path, render(report).encode(errors="backslashreplace"), mode=0o600)


def write(
    folder: Path, build: Callable[[Path], ChangeReport], report: Callable[[str, str], None]
) -> None:
    """Write change.html of a run's folder as it stands.

    A page that cannot be made or written never ends a run: report(host, text) is called.
    """
    try:
        save(build(folder), folder / NAME)
    except UserError as error:
        report("", f"{NAME} is not written: {error}")


@contextmanager
def written(
    folder: Path, build: Callable[[Path], ChangeReport], report: Callable[[str, str], None]
) -> Iterator[None]:
    """Write the page at the end, however that comes."""
    try:
        yield
    finally:
        write(folder, build, report)


def beside(plan: Path) -> Path:
    """The page of a plan's file: fix.html beside fix.json."""
    page = plan.with_suffix(".html")
    return page if page != plan else plan.with_name(f"{plan.name}.html")


def links(folder: Path) -> tuple[tuple[str, str], ...]:
    """Name and path of what lies beside the page in a run's folder."""
    return tuple((name, path) for path, name in _BESIDE.items() if (folder / path).is_file())


@cache
def _templates() -> Environment:
    return templates().overlay(finalize=_visible)


def _visible(value: Any) -> Any:
    """Plain text masked of secrets, with control characters made visible; others as is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        value = redact(value)
    return escape_text(value)


@cache
def _policy() -> Markup:
    """The page's Content-Security-Policy: its own style, and nothing else.

    Source: w3.org/TR/CSP3, 2.3.1 (hash-source).
    """
    style = base64.b64encode(sha256(inline_asset(_STYLE).encode()).digest()).decode()
    return Markup(  # a hash looks like a secret
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    )
