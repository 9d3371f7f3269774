"""waivers.toml: what it accepts, what it never hides, and what is refused in it.

The hosts are recorded ones (data/evidence.json), whose masters 02 and 03 have ip_forward 0.
"""

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hale.apply import gates
from hale.audit import evidence_file, waivers
from hale.audit.audit import Audit
from hale.audit.waivers import Waivers
from hale.cli.waivers import WaiveOptions, waive
from hale.gather import Transport
from hale.inventory import ini
from hale.inventory.selection import SelectedHost
from hale.model.errors import UserError
from hale.model.requirement import Aspect
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.standard import loader
from tests.engine.pytest_cli import Done, typed

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
STANDARD = loader.load_standard(ROOT / "standard")
FORWARD = next(r for r in STANDARD.requirements if r.id == "SYS-IP-FORWARD")
TODAY = date.fromisoformat(os.environ["HALE_DAY"])  # or yesterday, if midnight has come
KEYS: dict[str, Any] = {
    "hosts": "k8s-master-02",
    "requirement": "SYS-IP-FORWARD",
    "aspect": "runtime",
    "accepts": "net.ipv4.ip_forward is 0",
    "owner": "network team",
    "approver": "B. Ito",
    "reason": "it is a router of its own",
    "compensation": "its monitor",
    "ticket": "CHG-7",
    "approved": TODAY - timedelta(days=1),
    "expires": TODAY + timedelta(days=30),
    "standard": waivers.digest(FORWARD, Aspect.RUNTIME),
}


def text_of(**keys: Any) -> str:
    """One waiver; a key that is None is left out."""
    stated = {k: v for k, v in {**KEYS, **keys}.items() if v is not None}
    lines = [
        f"{k} = {v if isinstance(v, date | int) else json.dumps(v)}" for k, v in stated.items()
    ]
    return "\n".join(["[[waiver]]", *lines, ""])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the inventory; waivers.toml is written beside it."""
    path = tmp_path / "inventory.ini"
    path.write_bytes((DATA / "inventory.ini").read_bytes())
    return path


def loaded(site: Path, text: str, today: date | None = None) -> Waivers:
    site.with_name("waivers.toml").write_text(text)
    return waivers.load_waivers(ini.load_inventory(site), STANDARD, today)


def no_transport(chosen: SelectedHost) -> Transport:
    raise AssertionError(f"{chosen.host.name} was asked")


def judged(site: Path, text: str, today: date | None = None) -> tuple[Audit, list[Result]]:
    """The rows of SYS-IP-FORWARD at runtime, with these waivers."""
    known = ini.load_inventory(site)
    chosen = tuple(SelectedHost(h) for h in known.hosts)
    audit = Audit(known, STANDARD, "baseline", chosen, no_transport, 1.0, loaded(site, text, today))
    audit.hosts = evidence_file.load_evidence(DATA / "evidence.json").hosts
    rows = [
        audit.judge(c).result
        for c in audit.cases
        if (c.requirement.id, c.aspect) == ("SYS-IP-FORWARD", "runtime")
    ]
    return audit, rows


def on(rows: list[Result], host: str) -> Result:
    return next(r for r in rows if r.host == host)


def test_a_waiver_accepts_its_value_on_its_hosts_alone(site: Path) -> None:
    _, rows = judged(site, text_of())
    waived = on(rows, "k8s-master-02")
    assert waived.verdict is Verdict.WAIVED
    assert waived.actual == "net.ipv4.ip_forward is 0"
    assert waived.waiver
    assert waived.waiver.where == "waivers.toml:1"
    assert (waived.waiver.ticket, waived.waiver.approver) == ("CHG-7", "B. Ito")
    assert on(rows, "k8s-master-03").verdict is Verdict.FAIL
    assert on(rows, "k8s-master-01").verdict is Verdict.PASS
    assert on(rows, "k8s-master-01").waiver is None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"accepts": "1"}, "accepts only '1'"),
        ({"accepts": "60000"}, "accepts only '60000'"),
        ({"accepts": "unknown"}, "accepts only 'unknown'"),
        ({"expires": TODAY - timedelta(days=1)}, f"expired on {TODAY - timedelta(days=1)}"),
        ({"approved": TODAY + timedelta(days=2)}, f"begins on {TODAY + timedelta(days=2)}"),
        ({"standard": "0" * 16}, "other words or values of the baseline: approve it again"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_row_that_is_not_accepted_fails_and_says_why(
    site: Path, keys: dict[str, Any], reason: str
) -> None:
    _, rows = judged(site, text_of(**keys))
    row = on(rows, "k8s-master-02")
    assert row.verdict is Verdict.FAIL
    assert row.actual.startswith("net.ipv4.ip_forward is 0; the waiver waivers.toml:1 (CHG-7)")
    assert reason in row.actual
    assert row.waiver is None


def test_the_last_day_is_the_one_it_names(site: Path) -> None:
    last = date(2030, 6, 1)
    text = text_of(approved=date(2030, 5, 1), expires=last)
    assert on(judged(site, text, last)[1], "k8s-master-02").verdict is Verdict.WAIVED
    after = on(judged(site, text, last + timedelta(days=1))[1], "k8s-master-02")
    assert after.verdict is Verdict.FAIL


def test_unknown_is_waived_by_name_alone(site: Path) -> None:
    text = text_of(hosts="k8s-node-02", accepts="*k8s-node-02*")
    row = on(judged(site, text)[1], "k8s-node-02")
    assert row.verdict is Verdict.UNKNOWN
    assert "accepts only '*k8s-node-02*'" in row.actual
    row = on(judged(site, text_of(hosts="k8s-node-02", accepts="unknown"))[1], "k8s-node-02")
    assert row.verdict is Verdict.WAIVED


def test_a_value_of_the_standard_that_changes_voids_it() -> None:
    other = replace(FORWARD, parameters=replace(FORWARD.parameters, value=2))
    words = replace(FORWARD, aspects={**FORWARD.aspects, Aspect.RUNTIME: "another text"})
    digests = {waivers.digest(r, Aspect.RUNTIME) for r in (FORWARD, other, words)}
    assert len(digests) == 3
    assert waivers.digest(FORWARD, Aspect.PERSISTED) not in digests


def test_a_gate_counts_a_waived_row_as_healthy(site: Path) -> None:
    rows = judged(site, text_of())[1]
    problems = gates.unhealthy(rows, {"SYS-IP-FORWARD"})
    assert [gates.subject_of(p) for p in problems] == [
        "SYS-IP-FORWARD on k8s-master-03",
        "SYS-IP-FORWARD on k8s-node-02",
    ]


@pytest.mark.parametrize(
    ("keys", "state", "rows"),
    [
        ({}, "in force", 1),
        ({"hosts": "masters"}, "in force", 2),
        ({"hosts": "k8s-master-01"}, "not needed", 0),
        ({"hosts": "k8s-master-09"}, "no such row", 0),
        ({"hosts": "cluster"}, "no such row", 0),
        ({"accepts": "7"}, "other value", 0),
        ({"expires": TODAY - timedelta(days=1)}, "expired", 0),
        ({"standard": "0" * 16}, "outdated", 0),
    ],
)
def test_what_became_of_a_waiver(site: Path, keys: dict[str, Any], state: str, rows: int) -> None:
    audit, found = judged(site, text_of(**keys))
    (stated,) = audit.waivers.states(audit.all_cases, found)
    assert (stated.state, stated.rows) == (state, rows)
    assert bool(stated.note) is (state != "in force")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[[waiver]\n", 1, "no valid TOML"),
        ("x = 1\n", 1, "a waiver is a table"),
        ("max_days = 0\n", 1, "a number of days"),
        ("max_days = true\n", 1, "a number of days"),
        ("[waiver]\na = 1\n", 0, "a waiver is a table"),
        (f"\n{text_of(hosts=None)}", 2, "hosts"),
        (text_of(colour="red"), 14, "colour"),
        (text_of(owner=""), 6, "owner: it is empty"),
        (text_of(requirement="NO-SUCH"), 3, "the baseline has no 'NO-SUCH'"),
        (text_of(aspect="drill"), 4, "SYS-IP-FORWARD has runtime and persisted"),
        (text_of(accepts="*"), 5, "accepts any value"),
        (text_of(accepts="[!x]*"), 5, "accepts any value"),
        (text_of(accepts="*[]!-~]?"), 5, "accepts any value"),
        (text_of(approver="  Network  TEAM "), 7, "is the owner"),
        (text_of(approver="network\u200b team\u2060"), 7, "is the owner"),
        (text_of(approver="\uff4eetwork team"), 7, "is the owner"),
        (text_of(expires=TODAY - timedelta(days=2)), 12, "is before its approval"),
        (text_of(expires=TODAY + timedelta(days=365)), 12, "365 are the most"),
        (f"max_days = 5\n{text_of()}", 13, "5 are the most"),
        (text_of(expires="soon"), 12, "date"),
        (text_of(approved=None), 1, "approved"),
        (text_of() + text_of(), 14, "the same rows and value as"),
        (text_of() + text_of(hosts="all", ticket=3), 23, "str"),
    ],
)
def test_what_is_malformed_is_refused_on_its_line(
    site: Path, text: str, line: int, reason: str
) -> None:
    with pytest.raises(UserError) as refused:
        loaded(site, text)
    assert reason in str(refused.value)
    path = site.with_name("waivers.toml")
    assert str(refused.value).startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_bytes_that_are_no_text(site: Path) -> None:
    site.with_name("waivers.toml").write_bytes(b"a = 1\n# \xff\n")
    with pytest.raises(UserError, match=r"waivers\.toml:2: the file is not UTF-8"):
        waivers.load_waivers(ini.load_inventory(site), STANDARD)


# --- pytest ---


def run(site: Path, folder: Path, *words: str) -> Done:
    return typed(
        folder,
        f"--evidence={DATA / 'evidence.json'}",
        f"--inventory={site}",
        "-k",
        "SYS-IP-FORWARD and runtime and k8s-master-02",
        *words,
    )


@pytest.mark.parametrize("words", [(), ("-n2",)], ids=["plain", "xdist"])
def test_an_audit_with_a_waiver_passes_and_names_it(
    site: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    site.with_name("waivers.toml").write_text(text_of() + text_of(hosts="k8s-master-09"))
    done = run(site, tmp_path / "r", *words)
    assert done.code == 0, done.output
    assert f"1 accepted until {KEYS['expires']} (CHG-7)" in done.output
    assert "names no row of this inventory" in done.output
    assert "1 xfailed" in done.output
    (row,) = done.results.results
    assert row.verdict is Verdict.WAIVED
    assert row.waiver
    assert [w.state for w in done.results.waivers] == ["in force", "no such row"]
    assert done.folder
    page = (done.folder / "report.html").read_text()
    assert "CHG-7" in page
    assert "compliant but for 1 waived (partial run)" in page
    assert 'name="waiver_ticket" value="CHG-7"' in (done.folder / "junit.xml").read_text()


def test_a_malformed_waiver_ends_it_before_a_host_is_contacted(site: Path, tmp_path: Path) -> None:
    site.with_name("waivers.toml").write_text(text_of(owner=""))
    done = typed(tmp_path / "r", "--hosts=all", f"--inventory={site}")
    assert done.code == 4
    assert "waivers.toml:6: owner: it is empty" in done.output
    assert "Traceback" not in done.output
    assert done.folder is None


# --- invoke waive ---


def options(site: Path, **more: Any) -> WaiveOptions:
    given = {k: KEYS[k] for k in ("hosts", "requirement", "aspect", "owner", "approver")}
    given |= {k: KEYS[k] for k in ("reason", "compensation", "ticket", "accepts")}
    given |= {"inventory": site, "expires": str(KEYS["expires"]), **more}
    return WaiveOptions(**given)


def test_what_waive_writes_is_accepted(site: Path) -> None:
    quoted = 'a "quoted" \\ ü\n\x7f reason'
    waive(options(site, hosts="k8s-master-03", reason=quoted))
    waive(options(site))
    text = site.with_name("waivers.toml").read_text()
    _, rows = judged(site, text)
    row = on(rows, "k8s-master-03")
    assert row.waiver
    assert row.waiver.reason == quoted
    assert on(rows, "k8s-master-02").verdict is Verdict.WAIVED


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"approver": "network team"}, "is the owner"),
        ({"hosts": "k8s-master-09"}, "no host or group"),
        ({"requirement": "NO-SUCH"}, "the baseline has no"),
        ({"aspect": "inventory"}, "SYS-IP-FORWARD has runtime and persisted"),
        ({"expires": "tomorrow"}, "is no day"),
        ({"accepts": ""}, "--accepts VALUE, or --run AUDIT"),
        ({"accepts": "**"}, "accepts any value"),
    ],
)
def test_what_waive_refuses_leaves_the_file_as_it_was(
    site: Path, more: dict[str, Any], reason: str
) -> None:
    path = site.with_name("waivers.toml")
    path.write_text(text_of())
    with pytest.raises(UserError, match=reason):
        waive(options(site, **more))
    assert path.read_text() == text_of()


def test_waive_takes_the_value_of_an_audit(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path / "r")
    assert done.code == 1
    stated = waive(options(site, accepts="", run=done.folder))
    assert 'accepts = "net.ipv4.ip_forward is 0"' in stated
    assert run(site, tmp_path / "r2").code == 0


def test_the_file_is_not_searched_for_each_waiver(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2000 waivers took minutes, in which no audit began: lines are looked up for errors alone."""
    text = "\n".join(text_of(accepts=f"a{number}") for number in range(300))
    monkeypatch.setattr(waivers, "_line_of", lambda *_: pytest.fail("searched"))
    known = ini.load_inventory(DATA / "inventory.ini")
    found = waivers.parse_waivers(site, text.encode(), known, STANDARD)
    lines = [n for n, line in enumerate(text.split("\n"), 1) if line == "[[waiver]]"]
    assert [waiver.where.line for waiver in found.waivers] == lines
