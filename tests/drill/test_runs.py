"""`invoke runs` has drills among the runs, with what is still to be given back."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hale.apply import journal as applied
from hale.apply.journal import InstallStepDone, InstallStepState
from hale.apply.lock import Owner
from hale.cli import runs
from hale.drill.journal import (
    SCHEMA,
    DrillEnd,
    DrillHeader,
    DrillJournal,
    DrillState,
    FaultInjected,
    FaultReverted,
)
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.paths import ROOT

HEADER = DrillHeader(
    SCHEMA, Owner("op", "here", "2026-drill", "t"), "/inv", (FaultKind.VIP,), False
)
VIP = FaultInjected(FaultKind.VIP, "m1", False, "t1")


def table_lines(reports: Path) -> list[str]:
    console = Console(width=200, highlight=False)
    with console.capture() as printed:
        console.print(runs.table(reports))
    return [" ".join(line.split()) for line in printed.get().splitlines()]


LONG = "2026-11-23T162800.123456Z-install-of-another-colleague"


@pytest.mark.parametrize("width", [60, 80])
def test_a_name_is_never_shortened(tmp_path: Path, width: int) -> None:
    drill(tmp_path / LONG, VIP).close()
    console = Console(width=width, highlight=False)
    with console.capture() as output:
        console.print(runs.table(tmp_path))
    assert LONG in output.get()


def test_in_a_pipe_a_run_is_one_line(tmp_path: Path) -> None:
    drill(tmp_path / LONG, VIP).close()
    invoke = Path(sys.executable).parent / "invoke"
    output = subprocess.check_output([invoke, "runs", f"--reports={tmp_path}"], cwd=ROOT, text=True)
    (line,) = (line for line in output.splitlines() if LONG in line)
    assert "op@here" in line
    assert "run `invoke drill --revert`" in line


def drill(folder: Path, *entries: FaultInjected | FaultReverted | DrillEnd) -> DrillJournal:
    folder.mkdir()
    writer = DrillJournal(folder, HEADER)
    for entry in entries:
        writer.write(entry)
    return writer


def test_drills_stand_among_installs_by_their_time(tmp_path: Path) -> None:
    (tmp_path / "2-install").mkdir()
    header = applied.RunHeader(
        applied.SCHEMA, "2-install", "install", "op", "here", "/inv", "", "t"
    )
    book = applied.Journal(tmp_path / "2-install", header)
    book.write(InstallStepDone("init", "m1", "kubeadm init", InstallStepState.DONE, 8.0, True, "t"))
    book.write(applied.RunFinished(applied.RunState.FINISHED, "t"))
    book.close()
    drill(
        tmp_path / "1-drill",
        VIP,
        FaultReverted(FaultKind.VIP, "m1", "t"),
        DrillEnd(DrillState.FINISHED, "t"),
    ).close()
    drill(tmp_path / "3-drill", VIP).close()
    assert table_lines(tmp_path)[1:] == [
        "3-drill op@here m1 vip injected interrupted: vip of m1 not reverted, run `invoke drill "
        "--revert`",
        "2-install op@here m1 1 done, 0 not finished",
        "1-drill op@here m1 vip injected finished",
    ]


def test_a_drill_that_goes_on_has_nothing_to_be_given_back(tmp_path: Path) -> None:
    writer = drill(tmp_path / "1-drill", VIP)
    try:
        assert table_lines(tmp_path)[1:] == ["1-drill op@here m1 vip injected running"]
    finally:
        writer.close()


def test_a_drill_that_took_nothing(tmp_path: Path) -> None:
    drill(tmp_path / "1-drill", DrillEnd(DrillState.INTERRUPTED, "t")).close()
    assert table_lines(tmp_path)[1:] == ["1-drill op@here none no fault injected interrupted"]


def test_no_runs(tmp_path: Path) -> None:
    assert len(table_lines(tmp_path)) == 1


def test_garbage_is_reported_with_its_place(tmp_path: Path) -> None:
    drill(tmp_path / "1-drill", VIP).close()
    path = tmp_path / "1-drill" / "drill.jsonl"
    path.write_bytes(path.read_bytes() + b"<script>\n")
    with pytest.raises(UserError, match=r"drill\.jsonl:3"):
        table_lines(tmp_path)
