"""The picture, the line and the page: true to the numbers, and nobody's markup."""

import io
import re
from typing import cast
from xml.etree import ElementTree

import pytest
from rich.console import Console

from hale.drill import chart, drill_page, live_view
from hale.drill.chart import Scale
from hale.drill.http_client import Request
from hale.model.drill import (
    Component,
    ComponentKind,
    Downtime,
    FaultKind,
    Interval,
    LeaderChange,
    Measurement,
)
from hale.model.results import SCHEMA, HostRecord, Results, Run

EVIL = "</svg><script>alert(1)</script>\x1b[31m"


def drill(**changed: object) -> Measurement:
    values: dict[str, object] = {
        "kind": FaultKind.VIP,
        "host": "k8s-master-01",
        "title": "haproxy of the VIP's owner k8s-master-01",
        "method": "SIGKILL",
        "client": "k8s-node-01",
        "watcher": "k8s-master-02",
        "started": "2026-11-25T12:00:00.000Z",
        "injected_at": 100.0,
        "reverted_at": 10.0,
        "ended": 20.0,
        "requests": 400,
        "failed_requests": 20,
        "failure_counts": {EVIL: 20},
        "downtimes": (Downtime(0.1, 1.2, 20),),
        "max_client_gap": 0.06,
        "median_latency": 0.03,
        "components": (
            Component(ComponentKind.ETCD_QUORUM, (), ""),
            Component(ComponentKind.NODES, (Interval(5.0, 9.0), Interval(12.0, None)), EVIL),
        ),
        "leader_changes": (LeaderChange("kube-scheduler", "k8s-master-01", EVIL, 2.1),),
        "replicas": 0,
        "had_replica": False,
        "reboots": False,
    }
    return Measurement(**(values | changed))  # type: ignore[arg-type]


def sample_requests(until: float = 20.0) -> list[Request]:
    found = []
    for n in range(int((until + 3) * 20)):
        at = n / 20 - 3
        lost = 62 <= n < 82  # a second from 0.1 on
        found.append(Request(n, at, at + 0.03, 7 if lost else 0, 0 if lost else 200))
    return found


def svg(**changed: object) -> ElementTree.Element:
    return ElementTree.fromstring(str(chart.svg(drill(**changed), sample_requests(), -3.0, 20.0)))


SVG = "{http://www.w3.org/2000/svg}"


def test_every_request_has_a_mark_and_failed_ones_another() -> None:
    ok, bad = (p.attrib["d"] for p in svg().iter(f"{SVG}path"))
    assert bad.count("M") == 20
    assert ok.count("M") + bad.count("M") == len(sample_requests())


def test_an_unhealthy_time_is_as_wide_as_it_was_long() -> None:
    broken = [r for r in svg().iter(f"{SVG}rect") if r.attrib["class"] == "unhealthy"]
    a_second = chart.WIDTH / 23
    widths = [float(r.attrib["width"]) / a_second for r in broken]
    assert widths == pytest.approx([1.1, 4.0, 8.0], abs=0.05)  # what has no end goes to the edge


def test_nothing_happened_is_a_picture_too() -> None:
    root = svg(downtimes=(), components=(), reverted_at=None)
    assert not [
        r for r in root.iter(f"{SVG}rect") if r.attrib["class"] in ("unhealthy", "downtime")
    ]


def test_a_name_is_no_markup() -> None:
    text = str(
        chart.svg(
            drill(title=EVIL, components=(Component(cast("ComponentKind", EVIL), (), ""),)),
            sample_requests(),
            -3,
            20,
        )
    )
    assert "<script>" not in text
    assert "\x1b" not in text
    ElementTree.fromstring(text)


@pytest.mark.parametrize(
    ("since", "until"), [(-1.0, 5.0), (-3.0, 20.0), (-3.0, 300.0), (-1.0, 0.5)]
)
def test_ticks_are_round_and_few(since: float, until: float) -> None:
    ticks = Scale(since, until).ticks
    assert 3 <= len(ticks) <= 15
    assert all(since <= t <= until for t in ticks)
    assert 0.0 in ticks


def test_what_lies_beyond_the_picture_is_at_its_edge() -> None:
    scale = Scale(0.0, 10.0)
    assert scale.x(-5) == chart.LEFT
    assert scale.x(50) == chart.LEFT + chart.WIDTH
    assert chart.y(1e9) == chart.y(chart.SLOWEST)
    assert chart.y(0) == chart.y(chart.FASTEST)


def test_the_line_is_low_during_downtime() -> None:
    line = chart.sparkline(sample_requests(), 20.0, 23)
    assert len(line.plain) == 23
    assert line.plain[3] in "▁▂"
    assert set(line.plain[5:]) == {"█"}
    assert chart.sparkline([], 20.0).plain == ""
    assert chart.sparkline(sample_requests()[:1], -3.0).plain == ""


def page(**changed: object) -> str:
    found = Results(SCHEMA, run(), [HostRecord(EVIL)], [], [])
    return drill_page.html_page(
        found, [(drill(**changed), sample_requests())], unhealthy=[EVIL], not_reverted=[EVIL]
    )


def run() -> Run:
    return Run(
        operator=EVIL,
        source_host=EVIL,
        version="0.1.0",
        git_revision=EVIL,
        python="3.11",
        inventory=EVIL,
        inventory_sha256="",
        standard_sha256="",
        kind="drill",
        state="finished",
        packages={},
        command_line=["invoke", EVIL],
        site=EVIL,
        overrides_sha256="",
        profile="document",
        hosts_expression="all",
        started="2026-11-25T12:00:00.000Z",
        exit_status=0,
    )


def test_the_page_stands_by_itself_and_shows_no_ones_markup() -> None:
    text = page()
    assert "<script" not in text
    assert "\x1b" not in text
    assert not re.findall(r"(?:src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/)", text)
    assert text.count("<svg") == 2
    assert "1.10 s" in text
    assert "NOT REVERTED" in text


def test_the_terminal_shows_no_ones_markup() -> None:
    """`[/b]` would end the drill with an error, `[b]` would be left out."""
    console = Console(width=200, file=io.StringIO())
    found = Results(SCHEMA, run(), [], [], [])
    measured = drill(host="m[b]1", invalid_because="no answer of x[/b]")
    drill_page.print_summary(console, found, [(measured, sample_requests())])
    console.print(live_view.progress_table("start x[/b] of m[b]1", [], 0, 0, []))
    text = cast("io.StringIO", console.file).getvalue()
    for name in ("m[b]1 ", "no answer of x[/b]", "start x[/b] of m[b]1"):
        assert name in text
