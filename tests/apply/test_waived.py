"""Waivers on hosts of the lab: what is accepted stays, until it gets worse or its day is over."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hale.cli.waivers import WaiveOptions, waive
from hale.model.verdict import Verdict
from tests.apply.invoke_cli import Operator
from tests.engine.pytest_cli import Done, typed

pytestmark = pytest.mark.lab

HOST, FILE = "k8s-node-02", "/etc/security/limits.d/90-site.conf"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def limited(operator: Operator) -> Iterator[Operator]:
    """A host on which a site has a lower limit, and a site that has no waivers yet."""
    operator.ready.lab[HOST].run(f"echo '* - nofile 15000' >{FILE}")
    yield operator
    operator.ready.inventory.with_name("waivers.toml").unlink(missing_ok=True)
    operator.ready.lab[HOST].run(f"rm -f {FILE}")


def audited(operator: Operator, name: str) -> Done:
    words = (f"--inventory={operator.ready.inventory}", f"--hosts={HOST}", "-k", "LIM-NOFILE",
             "--connect-timeout=60")  # fmt: skip
    return typed(operator.reports / name, *words)


def verdicts(done: Done) -> set[Verdict]:
    return {row.verdict for row in done.results.results}


def accept(operator: Operator, run: Path | None) -> None:
    for aspect in ("runtime", "persisted"):
        waive(
            WaiveOptions(
                "LIM-NOFILE",
                operator.ready.inventory,
                HOST,
                aspect,
                owner="storage team",
                approver="B. Ito",
                reason="the vendor's database wants it",
                compensation="its own monitor",
                ticket="CHG-9",
                expires=str(TODAY + timedelta(days=7)),
                run=run,
            )
        )


def test_the_waived_value_is_not_changed_and_a_worse_one_is(limited: Operator) -> None:
    host = limited.ready.lab[HOST]
    found = audited(limited, "before")
    assert verdicts(found) == {Verdict.FAIL}, found.output
    accept(limited, found.folder)
    accepted = audited(limited, "accepted")
    assert accepted.code == 0, accepted.output
    assert verdicts(accepted) == {Verdict.WAIVED}
    fix = ("fix", "--only=LIM-NOFILE", f"--hosts={HOST}", "--apply", "--yes")
    status, output = limited.type(*fix)
    assert status == 0, output
    assert "Nothing to change." in output
    assert host.run(f"cat {FILE}").stdout == b"* - nofile 15000\n"
    host.run(f"echo '* - nofile 1024' >{FILE}")
    worse = audited(limited, "worse")
    assert worse.code == 1
    assert verdicts(worse) == {Verdict.FAIL}
    assert "(CHG-9) accepts only" in worse.output
    status, output = limited.type(*fix)
    assert status == 0, output
    assert verdicts(audited(limited, "fixed")) == {Verdict.PASS}
    status, output = limited.type("undo", limited.last.name, "--yes")
    assert status == 0, output
    assert host.run(f"cat {FILE}").stdout == b"* - nofile 1024\n"


def test_the_day_after_its_last_it_fails_again(limited: Operator) -> None:
    accept(limited, audited(limited, "before").folder)
    path = limited.ready.inventory.with_name("waivers.toml")
    yesterday = TODAY - timedelta(days=1)
    text = re.sub(r"(approved|expires) = .*", rf"\1 = {yesterday}", path.read_text())
    path.write_text(text)
    over = audited(limited, "over")
    assert over.code == 1
    assert verdicts(over) == {Verdict.FAIL}
    assert f"(CHG-9) expired on {yesterday}" in over.output
