"""Renders Hale's HTML pages: the templates escape every value and make control characters visible.

So a host's text can never become markup.
"""

import base64
import shlex
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hale.files.template_cache import bytecode_cache
from hale.model.results import Results
from hale.report import matrix
from hale.report.text import escape_controls, escape_lines, format_value

_TEMPLATES = Path(__file__).parent / "templates"


def escape_text(value: Any) -> Any:
    """Text as escape_lines makes it; others as is."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else escape_lines(value)


@cache
def templates() -> Environment:
    """Templates of pages, named from this folder; every value is escaped and made visible."""
    # finalize sees every value before it is escaped.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=escape_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=bytecode_cache(),
    )
    environment.filters["utc"] = utc
    environment.filters["spans"] = code_spans
    environment.filters["plain"] = format_value
    return environment


def render_page(template: str, found: Results, verdict: str, *, good: bool, **values: Any) -> str:
    """The page of a run. verdict: the run in a few words. good: whether its banner is success."""
    run = found.run
    words = [f"Hale {run.kind} {utc(run.started)}: {verdict}"]
    interrupted = run.state != "finished" and verdict != "interrupted"
    words += ["INTERRUPTED"] if interrupted else []
    words += ["INCOMPLETE"] if matrix.gaps(found) else []
    return (
        templates()
        .get_template(template)
        .render(
            title=escape_controls(" · ".join(words)),
            style=inline_asset("page.css"),
            policy=_policy(),
            run=run,
            hosts=found.hosts,
            verdict=verdict,
            good=good,
            command=shlex.join(run.command_line),
            **values,
        )
    )


def inline_asset(name: str) -> Markup:
    """A style or script of ours, from this folder, to stand in a page as it is."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def _policy() -> str:
    """The Content-Security-Policy of a page: our style, our script, and nothing from elsewhere.

    Source: w3.org/TR/CSP3, 2.3.1 (hash-source).
    """
    style, script = (
        base64.b64encode(sha256(inline_asset(name).encode()).digest()).decode()
        for name in ("page.css", "audit.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def code_spans(text: str) -> list[tuple[str, bool]]:
    """The parts of a text, and whether each stood in backticks; one part if those do not pair."""
    parts = text.split("`")
    return (
        [(part, n % 2 == 1) for n, part in enumerate(parts)] if len(parts) % 2 else [(text, False)]
    )


def utc(stamp: str) -> str:
    """`2026-11-23T15:24:20.165Z` as people write it; what is no such time as it is."""
    date, t, time = stamp.partition("T")
    return f"{date} {time[:8]} UTC" if t else stamp
