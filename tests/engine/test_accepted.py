"""`invoke accept RUN` and `pytest --drift`: what has changed since, and what is refused.

The hosts are recorded ones (data/evidence.json); k8s-node-02 was off.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hale.audit import accepted, results_file
from hale.cli import accepted as cli
from hale.inventory import ini
from hale.model.comparison import ChangeKind, ChangeReason
from hale.model.errors import UserError
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import compare
from tests.engine.pytest_cli import DATA, ROOT, Done, typed

PART = ("-k", "SYS-IP-FORWARD or HA-ETCD-MEMBERS or CLOCK-SKEW", "--profile=extended")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the inventory; accepted.jsonl is written beside it."""
    path = tmp_path / "inventory.ini"
    path.write_bytes((DATA / "inventory.ini").read_bytes())
    return path


def run(site: Path, name: str, *words: str) -> Done:
    given = (f"--evidence={DATA / 'evidence.json'}", f"--inventory={site}")
    return typed(site.with_name(name), *given, *words)


@pytest.fixture
def audited(site: Path) -> Path:
    """The folder of an audit."""
    folder = run(site, "first", *PART).folder
    assert folder
    return folder


def results_of(folder: Path) -> Results:
    return results_file.load_results(folder / "results.json")


def accept_changed(site: Path, folder: Path, change: Callable[[Results], None]) -> None:
    """Accept the run as if the hosts had been otherwise then."""
    found = results_of(folder)
    change(found)
    accepted.accept(found, compare.rows_of(found.results), b"", ini.load_inventory(site))


def test_accept_writes_who_when_and_what(site: Path, audited: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("invoke")),
            "accept",
            audited.name,
            f"--reports={audited.parent}",
            f"--inventory={site}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = results_of(audited).results
    assert f"accepted: {len(rows)} results of " in done.stdout
    assert "UNKNOWN, no drift can be found" in done.stdout
    path = tmp_path / "accepted.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = json.loads(path.read_text().partition("\n")[0])
    assert first["schema"] == "hale.accepted/1"
    assert first["by"]
    assert first["at"].endswith("Z")
    assert first["rows"] == len(rows)
    loaded = accepted.load_accepted(site)
    assert list(loaded.rows) == compare.rows_of(rows)


@pytest.mark.parametrize("words", [(), ("-n2",)], ids=["plain", "xdist"])
def test_hosts_that_stayed_as_they_were_show_no_drift(
    site: Path, audited: Path, words: tuple[str, ...]
) -> None:
    cli.accept(str(audited), audited.parent, site)
    before = results_of(audited)
    done = run(site, "second", *PART, *words, "--drift")
    assert done.code == before.run.exit_status == 1
    assert f"no drift: {len(before.results)} results are the same" in done.output
    assert done.results.drift
    assert done.results.drift.comparison.changes == []
    # Without the option nothing is compared.
    assert "drift" not in run(site, "third", *PART, *words).output


def test_drift_is_reported_also_where_both_are_compliant(site: Path, audited: Path) -> None:
    def as_it_was(found: Results) -> None:
        rows = {(r.host, r.requirement, r.aspect): r for r in found.results}
        passed = rows["k8s-master-01", "SYS-IP-FORWARD", "persisted"]
        assert passed.verdict is Verdict.PASS
        passed.actual = "another file set it"
        failed = rows["k8s-master-02", "SYS-IP-FORWARD", "runtime"]
        assert failed.verdict is Verdict.FAIL
        failed.verdict, failed.actual = Verdict.PASS, "net.ipv4.ip_forward is 1"
        down = rows["k8s-node-02", "SYS-IP-FORWARD", "runtime"]
        assert down.verdict is Verdict.UNKNOWN
        down.verdict = Verdict.PASS

    accept_changed(site, audited, as_it_was)
    done = run(site, "second", *PART, "--drift")
    assert done.code == 1
    assert done.results.drift
    changes = done.results.drift.comparison.changes
    assert [(c.row.host, c.kind, c.reason) for c in changes] == [
        ("k8s-master-02", ChangeKind.BROKEN, ChangeReason.NONE),
        ("k8s-node-02", ChangeKind.NOT_JUDGED, ChangeReason.NOT_REACHED),
        ("k8s-master-01", ChangeKind.CHANGED, ChangeReason.NONE),
    ]
    assert "accepted  PASS  another file set it" in done.output
    # Rows that are not selected are no drift, and the exit status is that of the verdicts.
    part = ("-k", "SYS-IP-FORWARD and persisted and k8s-master-01", "--profile=extended")
    done = run(site, "third", *part, "--drift")
    assert done.code == 0
    assert "1 changed, 0 new, 0 gone; 0 the same" in done.output


# --- what is refused ---


def damaged(path: Path, how: str) -> None:
    lines = path.read_bytes().split(b"\n")
    match how:
        case "no json":
            lines[2] = lines[2][:-9]
        case "no row":
            lines[2] = b"{}"
        case "verdict":
            lines[1] = lines[1].replace(b'"verdict":"', b'"verdict":"X')
        case "twice":
            lines[2] = lines[1]
        case "edited":
            lines[3] = lines[3].replace(b'"actual":"', b'"actual":"x')
        case "row missing":
            del lines[3]
        case "cut off":
            lines = [*lines[:3], lines[3][:20]]
        case "version":
            lines[0] = lines[0].replace(b"accepted/1", b"accepted/9")
        case "header":
            lines[0] = b'{"schema":"hale.accepted/1"}'
        case "bytes":
            lines[1] = b"\xff\xfe\x00"
        case "empty":
            lines = []
    path.write_bytes(b"\n".join(lines))


DAMAGES = {
    "no json": ":3: not a row",
    "no row": ":3: not a row",
    "verdict": ":2: not a row",
    "twice": ":3: the row of line 2 again",
    "edited": ":1: the rows are not those that were accepted",
    "row missing": ":1: the rows are not those that were accepted",
    "cut off": ":4: the line is truncated",
    "version": ":1: schema hale.accepted/9",
    "header": ":1: not the first line",
    "bytes": ":2: not a row",
    "empty": ":1: not the first line",
}


@pytest.mark.parametrize(("how", "error"), DAMAGES.items())
def test_what_is_malformed_is_refused_on_its_line(
    site: Path, audited: Path, how: str, error: str
) -> None:
    cli.accept(str(audited), audited.parent, site)
    path = accepted.path_of(site)
    damaged(path, how)
    with pytest.raises(UserError) as refused:
        accepted.load_accepted(site)
    assert str(refused.value).startswith(f"{path}{error}")


@pytest.mark.parametrize("state", ["fit", "damaged", "missing"])
def test_nothing_is_contacted_if_it_is_malformed(
    site: Path, audited: Path, tmp_path: Path, state: str
) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\n: >> {tmp_path}/contacted\nexit 255\n")
    ssh.chmod(0o755)
    path = accepted.path_of(site)
    if state != "missing":
        cli.accept(str(audited), audited.parent, site)
    if state == "damaged":
        damaged(path, "no row")
    more = {"PATH": f"{ssh.parent}:{os.environ['PATH']}"}
    words = ("--hosts=all", f"--inventory={site}", "-k", "SYS-IP-FORWARD", "--drift")
    done = typed(tmp_path / "second", *words, more=more)
    assert (tmp_path / "contacted").exists() is (state == "fit")
    if state != "fit":
        assert done.code == 4
        assert str(path) in done.output
        assert "Traceback" not in done.output
        assert done.folder is None


def test_what_accept_refuses_leaves_the_file_as_it_was(
    site: Path, audited: Path, tmp_path: Path
) -> None:
    cli.accept(str(audited), audited.parent, site)
    before = accepted.path_of(site).read_bytes()
    found = results_of(audited)
    renamed = [msgspec.structs.replace(found.results[0], host="other-01")]
    two_lines = [msgspec.structs.replace(found.results[0], host="x\naccepted")]
    for changes, error in (
        ({"run": msgspec.structs.replace(found.run, state="interrupted")}, "was interrupted"),
        ({"run": msgspec.structs.replace(found.run, kind="drill")}, "is no audit"),
        ({"results": []}, "has no rows"),
        ({"results": renamed}, "has no 'other-01'"),
        ({"results": two_lines}, r"has no 'x\\naccepted'"),
    ):
        folder = tmp_path / "odd"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        odd: Results = msgspec.structs.replace(found, **changes)
        results_file.save_results(odd, folder / "results.json")
        with pytest.raises(UserError, match=error):
            cli.accept(str(folder), tmp_path, site)
    with pytest.raises(UserError, match="no run nope"):
        cli.accept("nope", tmp_path, site)
    assert accepted.path_of(site).read_bytes() == before
