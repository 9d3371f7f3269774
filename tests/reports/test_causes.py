"""Failures by cause, hosts that were not reached, hosts that differ: every result counts once."""

import msgspec
import pytest

from hale.model.results import Guidance, HostRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report import causes, html

MODEL = Result(
    host="", requirement="SWAP-OFF", aspect="runtime", verdict=Verdict.FAIL, chapter=8,
    title="Swap is off", subject="swap", severity="critical", profile="baseline",
    expected="no swap is active", actual="", test="",
)  # fmt: skip


def results_of(recorded: Results, actual: dict[str, str], **more: object) -> Results:
    """A failed row for each host, with its actual value."""
    rows = [msgspec.structs.replace(MODEL, host=h, actual=a, **more) for h, a in actual.items()]
    hosts = [HostRecord(h) for h in actual]
    return msgspec.structs.replace(recorded, results=rows, hosts=hosts, guidance=[])


def counted(found: Results) -> int:
    lost = sum(one.results for one in causes.unreached(found))
    return lost + sum(len(cause.hosts) for cause in causes.causes(found))


def test_every_failed_result_has_one_cause(recorded: Results) -> None:
    failed = [r for r in recorded.results if r.verdict.failed]
    assert counted(recorded) == len(failed)
    (down,) = causes.unreached(recorded)
    assert down.hosts == ["k8s-node-02"]
    assert down.results == sum(r.host == "k8s-node-02" for r in failed)
    assert "k8s-node-02" not in down.reason


def test_a_cause_has_one_requirement_aspect_and_value(recorded: Results) -> None:
    found = results_of(recorded, {"n-1": "zram0", "n-2": "zram0", "n-3": "sda2"})
    found.results.append(msgspec.structs.replace(found.results[0], aspect="persisted"))
    found.results.append(msgspec.structs.replace(found.results[0], requirement="SWAP-ON"))
    hosts = [(c.row.requirement, c.row.aspect, list(c.hosts)) for c in causes.causes(found)]
    assert hosts == [
        ("SWAP-OFF", "runtime", ["n-1", "n-2"]),
        ("SWAP-OFF", "runtime", ["n-3"]),
        ("SWAP-OFF", "persisted", ["n-1"]),
        ("SWAP-ON", "runtime", ["n-1"]),
    ]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("n-1: gone", "n-2: gone", "gone"),
        ("the name of n-1 is n-1.x", "the name of n-2 is n-2.x", "the name of ‹host› is ‹host›.x"),
        ("no answer after 30 ms", "no answer after 31 ms", "no answer after 30 ms"),
        ("n-10 differs", "n-10 differs", "n-10 differs"),
        ("30 s", "31 s", ""),
    ],
)
def test_a_hosts_name_and_milliseconds_make_no_other_cause(
    recorded: Results, one: str, other: str, shared: str
) -> None:
    found = causes.causes(results_of(recorded, {"n-1": one, "n-2": other}))
    assert [c.actual for c in found] == ([shared] if shared else [one, other])


def test_the_worst_is_first(recorded: Results) -> None:
    found = results_of(recorded, {"n-1": "a"})
    (row,) = found.results
    kinds = [("minor", "FAIL"), ("critical", "UNKNOWN"), ("major", "FAIL"), ("critical", "FAIL")]
    found.results = [
        msgspec.structs.replace(row, requirement=f"R-{n}", severity=s, verdict=Verdict(v))
        for n, (s, v) in enumerate(kinds)
    ]
    assert [c.row.requirement for c in causes.causes(found)] == ["R-3", "R-1", "R-2", "R-0"]


def test_a_thousand_values_are_not_a_thousand_causes(recorded: Results) -> None:
    found = results_of(recorded, {f"n-{n}": f"value {n // 2}" for n in range(1000)})
    shown = causes.causes(found)
    assert len(shown) == causes.MAX_CAUSES + 1
    assert shown[-1].values == 500 - causes.MAX_CAUSES
    assert counted(found) == 1000


def test_guidance_comes_once_and_the_command_names_the_hosts(recorded: Results) -> None:
    found = results_of(recorded, {"n-1": "zram0", "n-2": "sda2", "n-3": "sda3"})
    found.run.inventory = "a b.ini"
    found.guidance = [Guidance("SWAP-OFF", "the kubelet refuses", "Type `swapoff`.", ["runtime"])]
    first, second, _ = causes.causes(found)
    assert (first.first, second.first) == (True, False)
    assert html.fix_command(found, first) == (
        "invoke fix '--inventory=a b.ini' --only=SWAP-OFF --hosts=n-1"
    )
    page = html.render(found)
    assert page.count("the kubelet refuses") == 1
    assert "<code>swapoff</code>" in page
    found.guidance = [Guidance("SWAP-OFF", "", "", ["persisted"])]
    assert html.fix_command(found, causes.causes(found)[0]) == ""


def fleet(recorded: Results, odd: int, of: int = 1000, group: str = "") -> Results:
    """So many hosts, of which `odd` have another value; all pass."""
    actual = {f"n-{n:04}": "zram0" if n < odd else "no swap is active" for n in range(of)}
    found = results_of(recorded, actual, verdict=Verdict.PASS)
    for host in found.hosts:
        host.groups = [group] if group else []
    return found


@pytest.mark.parametrize(
    ("odd", "of", "shown"), [(3, 1000, 3), (1, 3, 1), (0, 9, 0), (500, 1000, 0), (1, 2, 0)]
)
def test_hosts_that_differ_from_most(recorded: Results, odd: int, of: int, shown: int) -> None:
    found = causes.outliers(fleet(recorded, odd, of))
    assert len(found) == bool(shown)
    for one in found:
        assert (one.usual, one.count) == ("no swap is active", of - odd)
        assert [(u.actual, len(u.hosts)) for u in one.unusual] == [("zram0", odd)]


def test_hosts_are_compared_with_their_own_group(recorded: Results) -> None:
    """Three masters that are alike differ from no master, whatever a thousand workers are."""
    found = fleet(recorded, 3, 1000, "workers")
    assert causes.outliers(found)
    for host in found.hosts[:3]:
        host.groups = ["masters"]
    assert causes.outliers(found) == []


def test_hosts_not_reached_and_rows_not_applicable_differ_from_nothing(recorded: Results) -> None:
    found = fleet(recorded, 2, 10)
    found.hosts[0].down = "n-0000: no route"
    found.results[0].verdict, found.results[0].actual = Verdict.UNKNOWN, "n-0000: no route"
    found.results[1].verdict = Verdict.NOT_APPLICABLE
    assert causes.outliers(found) == []
