"""How each verdict is presented: the one table that every report takes it from."""

from dataclasses import dataclass

from hale.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Presentation:
    """One verdict, as each kind of report shows it."""

    sign: str
    color: str  # a style of rich
    meaning: str
    category: str  # pytest's word, in its count of outcomes and in report.html's filters
    letter: str  # in pytest's progress
    markup: str  # its colour there
    junit: str  # the element inside a `testcase`; "" for a test that passed


# Failures first: report.html's rows stand in this order.
PRESENTATION = {
    Verdict.FAIL: Presentation(
        "✗", "bold red", "read, and not as required", "failed", "F", "red", "failure"
    ),
    Verdict.UNKNOWN: Presentation(
        "?",
        "bold magenta",
        "could not be read; never counts as passed",
        "error",
        "?",
        "red",
        "error",
    ),
    Verdict.WAIVED: Presentation(
        "w", "yellow", "not as required, accepted by a waiver", "xfailed", "w", "yellow", "skipped"
    ),
    Verdict.PASS: Presentation("✓", "green", "read, and as required", "passed", ".", "green", ""),
    Verdict.NOT_APPLICABLE: Presentation(
        "-", "dim", "does not concern this host", "skipped", "-", "yellow", "skipped"
    ),
}


def sign_of(verdict: Verdict) -> tuple[str, str]:
    """The sign and its colour."""
    shown = PRESENTATION[verdict]
    return shown.sign, shown.color
