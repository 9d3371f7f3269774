"""waivers.toml by a forger: one line, at once, and no row is accepted by it."""

import time
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from hale.audit import waivers
from hale.model.errors import UserError
from hale.model.verdict import Verdict
from tests.hostile.forgery import KNOWN, STANDARD

GIVEN = {
    "hosts": '"all"',
    "requirement": '"LIM-NOFILE"',
    "aspect": '"runtime"',
    "accepts": '"60000"',
    "owner": '"a"',
    "approver": '"b"',
    "reason": '"r"',
    "compensation": '"c"',
    "ticket": '"t"',
    "approved": "2026-11-01",
    "expires": "2026-12-31",
    "standard": '"0"',
}


def stated(**other: str) -> str:
    return "[[waiver]]\n" + "".join(f"{k} = {v}\n" for k, v in (GIVEN | other).items())


REFUSED = {
    "a number of 5000 digits": ("max_days = " + "9" * 5000, "a number of too many digits"),
    "an array in arrays": ("waiver = " + "[" * 5000, "nested too deep"),
    "a key of 30,000 parts": (".".join("a" * 30_000) + " = 1", "nested too deep"),
    "a term of no end": ("max_days = inf", "a number of days"),
    "a day that no year has": (stated(expires="2026-02-30"), "no valid TOML"),
    "the last day of all": (stated(expires="9999-12-31"), "are the most"),
    "a time in place of a day": (stated(expires="2026-12-31T23:59:59+14:00"), "expires"),
    "ten thousand times the same": (stated() * 10_000, "the same rows and value"),
    "a pattern of all characters": (stated(accepts='"[!\\u0000]*"'), "accepts any value"),
    "an approver with a wide letter": (stated(approver='"\\uff41"'), "is the owner"),
}


def read(text: str) -> waivers.Waivers:
    path = KNOWN.path.with_name(waivers.NAME)
    return waivers.parse_waivers(path, text.encode(), KNOWN, STANDARD, date(2026, 12, 1))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str) -> None:
    text, why = REFUSED[name]
    with pytest.raises(UserError, match=why) as raised:
        read(text)
    assert "\n" not in str(raised.value)


def test_what_is_refused_is_taken_without_its_fault() -> None:
    assert len(read(stated()).waivers) == 1


@pytest.mark.parametrize("pattern", ["*a" * 60 + "b", "[a-" + "*" * 60, "[z-a]*" * 40 + "a"])
def test_a_pattern_takes_no_time(pattern: str) -> None:
    """Seconds of the processor, since other processes run: backtracking would take years."""
    (waiver,) = read(stated(accepts=f'"{pattern}"')).waivers
    began = time.process_time()
    row: Any = SimpleNamespace(verdict=Verdict.FAIL, actual="a" * 5000)
    assert "accepts only" in waivers._other_value(waiver, row)
    assert time.process_time() - began < 20
