"""GitHub Actions and GitLab CI: annotations, a section, and no commands from a host's text.

Sources: docs.github.com, "Workflow commands for GitHub Actions", also of job summaries;
docs.gitlab.com, "GitLab CI/CD job logs" (custom collapsible sections).
"""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from enum import Enum, auto

from hale.model.requirement import Severity
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import causes, matrix
from hale.report.text import escape_controls, fold_hostnames

MAX_ANNOTATIONS = 10  # GitHub shows so many of one level and step
MAX_MESSAGE = 1000  # characters
SUMMARY_FILE = "GITHUB_STEP_SUMMARY"
MAX_SUMMARY = 1 << 20  # bytes of one step; GitHub shows nothing of more
_CUT = b"\n\nMore does not fit here: see report.html.\n"


class CiSystem(Enum):
    """Where the run's output is shown."""

    NONE = auto()
    GITHUB = auto()
    GITLAB = auto()


def detect(environment: Mapping[str, str]) -> CiSystem:
    """The system by the variable that each documents."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return CiSystem.GITHUB
    if environment.get("GITLAB_CI") == "true":
        return CiSystem.GITLAB
    return CiSystem.NONE


class Log:
    """The log of one job. Between `begin` and `end` no line is a command of the system."""

    def __init__(self, system: CiSystem) -> None:
        self._system = system
        self._token = secrets.token_hex(16)

    def begin(self) -> str:
        """The line before the first text of a host; empty where there is none."""
        return f"::stop-commands::{self._token}\n" if self._system is CiSystem.GITHUB else ""

    def end(self) -> str:
        """The line after the last text of a host."""
        return f"::{self._token}::\n" if self._system is CiSystem.GITHUB else ""

    def open_section(self, name: str, title: str, now: float) -> str:
        """The start of a section that folds. name: letters. now: seconds since the epoch."""
        if self._system is CiSystem.GITLAB:
            return f"\x1b[0Ksection_start:{int(now)}:{name}\r\x1b[0K{title}\n"
        return ""

    def close_section(self, name: str, now: float) -> str:
        """The end of that section."""
        if self._system is CiSystem.GITLAB:
            return f"\x1b[0Ksection_end:{int(now)}:{name}\r\x1b[0K\n"
        return ""

    def annotations(self, found: Results) -> str:
        """A line for each cause, and one for the gaps; of GitHub only."""
        if self._system is not CiSystem.GITHUB:
            return ""
        lines = [_annotation("error", "INCOMPLETE", reason) for reason in matrix.gaps(found)]
        for cause in causes.causes(found):
            row = cause.row
            level = "warning" if _is_mild(row.verdict, row.severity) else "error"
            hosts = fold_hostnames(cause.hosts)
            title = f"{row.verdict} {row.requirement} {row.aspect} ({row.severity})"
            message = f"{hosts}: {cause.actual} (expected: {cause.expected})"
            lines.append(_annotation(level, title, message))
        lines += [
            _annotation("error", check.test, check.message)
            for check in found.site_checks
            if check.outcome in ("failed", "error")
        ]
        more = len(lines) - MAX_ANNOTATIONS
        if more > 0:
            lines = lines[: MAX_ANNOTATIONS - 1]
            lines.append(_annotation("error", "Hale", f"{more + 1} more: see report.html"))
        return "".join(lines)


def append_summary(found: Results, environment: Mapping[str, str]) -> None:
    """Append the Markdown summary to the page of GitHub's job, GITHUB_STEP_SUMMARY.

    Nothing is written elsewhere, or where that file is absent or cannot be written.
    """
    path = environment.get(SUMMARY_FILE, "")
    if not path or detect(environment) is not CiSystem.GITHUB:
        return
    from hale.report import markdown  # slower to import than what other runs need of reports

    text = f"\n{markdown.render(found)}".encode(errors="backslashreplace")
    if len(text) > MAX_SUMMARY:
        text = text[: text.rindex(b"\n", 0, MAX_SUMMARY - len(_CUT)) + 1] + _CUT
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK  # a FIFO without a reader is an OSError
    # ValueError: a NUL byte in the path.
    with contextlib.suppress(OSError, ValueError), os.fdopen(os.open(path, flags), "ab") as file:
        file.write(text)


def _is_mild(verdict: Verdict, severity: str) -> bool:
    return verdict is Verdict.FAIL and severity == Severity.MINOR.value


def _annotation(level: str, title: str, message: str) -> str:
    cut = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    return f"::{level} title={_property(title)}::{_data(cut)}\n"


def _data(text: str) -> str:
    """As the runner unescapes it: actions/toolkit, packages/core/src/command.ts."""
    return escape_controls(text).replace("%", "%25")


def _property(text: str) -> str:
    return re.sub("[:,]", lambda m: f"%{ord(m[0]):02X}", _data(text))
