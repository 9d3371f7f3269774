"""Verdicts, counts and exit statuses of `pytest --hosts=…`."""

import os
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.engine.pytest_cli import (
    DATA,
    EVIDENCE,
    HOSTS,
    SYSCTL,
    Done,
    typed,
)


def test_the_recorded_hosts(judged: Done) -> None:
    assert judged.code == 1
    forward = {h: judged.of(h) for h in HOSTS}
    verdicts = {
        h: [v[f"SYS-IP-FORWARD {a}"] for a in ("runtime", "persisted")] for h, v in forward.items()
    }
    assert verdicts == {
        "k8s-master-01": ["PASS", "PASS"],
        "k8s-master-02": ["FAIL", "FAIL"],
        "k8s-master-03": ["FAIL", "FAIL"],
        "k8s-node-01": ["PASS", "FAIL"],
        "k8s-node-02": ["UNKNOWN", "UNKNOWN"],
    }
    assert judged.of("cluster") == {"NODES-ODD-MASTERS inventory": "PASS"}
    found = judged.results
    assert (found.run.state, found.run.exit_status) == ("finished", 1)
    assert any("deselected" in reason for reason in found.run.incomplete)
    assert "INCOMPLETE" in judged.output
    down = [r for r in found.results if r.host == "k8s-node-02"]
    assert {r.actual for r in down} == {
        "k8s-node-02: proxy dialer did not pass back a connection. Try `ssh -v` by hand."
    }


def test_pytests_own_count_agrees(judged: Done) -> None:
    counts = Counter(judged.verdicts.values())
    assert (
        f"{counts['FAIL']} failed, {counts['PASS']} passed, {counts['UNKNOWN']} errors"
        in judged.output
    )
    assert judged.folder
    suite = ElementTree.parse(judged.folder / "junit.xml").getroot()[0]
    assert [int(suite.get(key) or 0) for key in ("tests", "failures", "errors", "skipped")] == [
        len(judged.verdicts),
        counts["FAIL"],
        counts["UNKNOWN"],
        counts["N-A"],
    ]


def test_exit_status_0_if_all_passed(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, SYSCTL, "-k", "SYS-IP-FORWARD and k8s-master-01")
    assert done.code == 0, done.output
    assert set(done.verdicts.values()) == {"PASS"}
    assert "INCOMPLETE" in done.output


def test_exit_status_5_if_nothing_is_selected(tmp_path: Path) -> None:
    assert typed(tmp_path, *EVIDENCE, "-k", "nothing-has-this-name").code == 5


def test_a_role_that_excludes_a_host_is_not_applicable(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, "--hosts=k8s-node-01", "-m", "masters and not cluster")
    rows = [r for r in done.results.results if r.host == "k8s-node-01"]
    if not rows:
        pytest.skip("the standard has no requirement of masters alone")
    assert {(str(r.verdict), r.actual) for r in rows} == {("N-A", "concerns masters only")}


def test_cluster_rows_need_all_their_hosts(tmp_path: Path) -> None:
    """Judged on a part of the hosts, `one leader` or `all agree` would pass too easily."""
    done = typed(
        tmp_path, *EVIDENCE, "--hosts=k8s-master-01", "--profile=extended", "-k", "cluster"
    )
    assert set(done.verdicts) == {
        row for row in done.verdicts if row.requirement == "NODES-ODD-MASTERS"
    }
    assert "hosts of the inventory left out: k8s-master-02" in done.output
    left_out = {(r.host, r.requirement) for r in done.results.deselected}
    assert ("cluster", "CLOCK-SKEW") in left_out


@pytest.mark.parametrize(("word", "red"), [("-x", 1), ("--maxfail=3", 3)])
def test_stopping_early(tmp_path: Path, word: str, red: int) -> None:
    done = typed(tmp_path, *EVIDENCE, SYSCTL, word)
    assert done.code == 1
    found = done.results
    assert found.run.state == "interrupted"
    not_judged = [r for r in found.results if r.actual.startswith("not judged")]
    judged = [r for r in found.results if r not in not_judged]
    assert sum(r.verdict.failed for r in judged) == red
    assert not_judged
    assert {str(r.verdict) for r in not_judged} == {"UNKNOWN"}
    assert any("selected but not judged" in reason for reason in found.run.incomplete)


def test_last_failed(tmp_path: Path) -> None:
    words = (*EVIDENCE, SYSCTL, "-k", "SYS-IP-FORWARD")
    cache = ("-o", f"cache_dir={tmp_path / 'cache'}")
    plain = ["-q", *cache, *words]
    first = typed(tmp_path / "a", plain=[*plain, f"--reports={tmp_path / 'a'}"])
    red = {row for row, verdict in first.verdicts.items() if verdict in ("FAIL", "UNKNOWN")}
    second = typed(tmp_path / "b", plain=[*plain, "--lf", f"--reports={tmp_path / 'b'}"])
    assert set(second.verdicts) == red
    assert len(red) == 7


def test_this_machine(tmp_path: Path) -> None:
    words = ("--hosts=local://", f"--inventory={DATA / 'inventory.ini'}")
    done = typed(tmp_path, *words, "-k", "address or hostname or sysctl or swap or masters")
    assert "INTERNALERROR" not in done.output
    verdicts = done.of("local")
    assert verdicts["NODES-ADDRESS runtime"] == verdicts["NAME-HOSTNAME runtime"] == "N-A"
    assert {row.host for row in done.verdicts} == {"local"}
    assert f"hosts of the inventory left out: {', '.join(HOSTS)}" in done.output
    (host,) = done.results.hosts
    assert (host.transport, host.down, host.kernel) == ("local", "", os.uname().release)
