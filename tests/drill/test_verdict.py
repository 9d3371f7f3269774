"""What a drill's measurements come to, by the checks of an audit."""

from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from hale.audit import results_file
from hale.audit.audit import Audit
from hale.drill import drill_page, judge
from hale.inventory import ini
from hale.inventory.selection import SelectedHost
from hale.model.drill import Component, ComponentKind, Downtime, FaultKind, Interval, Measurement
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverState
from hale.paths import ROOT
from hale.standard import loader
from tests.drill.test_chart import drill
from tests.reports.factories import DATA


def no_transport(_: SelectedHost) -> NoReturn:
    raise AssertionError("no host is asked")


@pytest.fixture(scope="module")
def audit() -> Audit:
    known = ini.load_inventory(ROOT / "inventory.ini")
    chosen = tuple(SelectedHost(h) for h in known.hosts)
    stated = loader.load_standard(ROOT / "standard")
    return Audit(known, stated, "baseline", chosen, no_transport, 0.0)


def outcomes(audit: Audit, *drills: Measurement) -> dict[str, tuple[Verdict, str]]:
    rows, others = judge.rows(audit, drills)
    assert len(rows) + len(others) == len(audit.all_cases)
    assert all(r.aspect == "drill" and r.host == "cluster" for r in rows)
    return {r.requirement: (r.verdict, r.actual) for r in rows}


def waited(seconds: float, part: FaultKind = FaultKind.VIP, **changed: object) -> Measurement:
    return drill(kind=part, downtimes=(Downtime(0.0, seconds, 9),), **changed)


def healed(seconds: float | None, **changed: object) -> Measurement:
    values = {
        "kind": FaultKind.WORKER,
        "replicas": 5,
        "had_replica": True,
        "reverted_at": 100.0,
        "downtimes": (),
    }
    components = (Component(ComponentKind.REPLICAS, (Interval(0.5, seconds),), ""),)
    return drill(components=components, **(values | changed))


def test_a_row_is_judged_by_the_drills_that_measure_it_and_no_others(audit: Audit) -> None:
    assert set(outcomes(audit, waited(1))) == {"HA-VIP-OWNER"}
    assert set(outcomes(audit, healed(50))) == {"HA-SELF-HEALING"}
    assert set(outcomes(audit, drill(kind=FaultKind.ETCD))) == set()
    assert set(outcomes(audit, waited(1), healed(50))) == {"HA-VIP-OWNER", "HA-SELF-HEALING"}


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(0.0, Verdict.PASS), (5.0, Verdict.PASS), (5.01, Verdict.FAIL)]
)
def test_the_longest_wait_decides(audit: Audit, seconds: float, wanted: Verdict) -> None:
    found, actual = outcomes(audit, waited(0.1), waited(seconds, FaultKind.APISERVER))[
        "HA-VIP-OWNER"
    ]
    assert found is wanted
    assert f"downtime of {seconds:.2f} s after" in actual


def test_a_record_that_proves_nothing_is_unknown(audit: Audit) -> None:
    found = outcomes(audit, waited(0.1, invalid_because="the clock jumped"))["HA-VIP-OWNER"]
    assert found == (Verdict.UNKNOWN, "vip: the clock jumped")


@pytest.mark.parametrize(
    ("measured", "wanted", "why"),
    [
        (healed(55.0), Verdict.PASS, "ready 55.0 s after"),
        (healed(90.5), Verdict.FAIL, "ready 90.5 s after"),
        (healed(None), Verdict.FAIL, "were not all ready"),
        # Whole only because the host came back: nothing has healed.
        (healed(55.0, reverted_at=50.0), Verdict.FAIL, "were not all ready"),
        (healed(55.0, had_replica=False), Verdict.UNKNOWN, "no replica was on"),
        (healed(55.0, reboots=True), Verdict.UNKNOWN, "only rebooted"),
        (healed(55.0, replicas=0), Verdict.UNKNOWN, "no replica was on"),
    ],
)
def test_replicas_must_be_ready_without_the_host(
    audit: Audit, measured: Measurement, wanted: Verdict, why: str
) -> None:
    found, actual = outcomes(audit, measured)["HA-SELF-HEALING"]
    assert found is wanted
    assert why in actual


def test_all_that_was_measured_can_be_written_and_read_again() -> None:
    one = healed(None)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Measurement) == one


def test_a_limit_of_the_site_counts_and_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    text = (ROOT / "inventory.ini").read_text()
    path.write_text(text + "\n[all:vars]\nhale_ha_vip_owner__failover_seconds=9\n")
    known = ini.load_inventory(path)
    chosen = tuple(SelectedHost(h) for h in known.hosts)
    stated = loader.load_standard(ROOT / "standard")
    audit = Audit(known, stated, "baseline", chosen, no_transport, 0.0)
    (row,), _ = judge.rows(audit, [waited(8.0)])
    assert row.verdict is Verdict.PASS
    assert row.overrides[0].value == 9.0


def test_a_drill_states_its_own_counts_and_the_waivers_before_it(audit: Audit) -> None:
    before = results_file.load_results(DATA / "results.json")
    before.run.counts = {"FAIL": 24}
    accepted, unused = (
        WaiverState(
            f"w.toml:{rows}", "all", f"ID-{rows}", "runtime", "CHG-9", "2099-01-01", "", rows
        )
        for rows in (3, 0)
    )
    before.waivers = [accepted, unused]
    found = drill_page.build_results(
        before, audit, [waited(1)], [FaultKind.VIP], [], 0.0, completed=True
    )
    assert found.run.counts == {"PASS": 1}
    assert found.waivers == [accepted]
    text = drill_page.html_page(found, [])
    assert "<b>WAIVED</b>" in text
    assert "<b>ID-3</b> runtime was not as required before the drill" in text
    found.waivers = []
    assert "WAIVED" not in drill_page.html_page(found, []).partition("</style>")[2]
