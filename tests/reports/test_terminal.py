"""What the terminal ends with: golden texts, any number of hosts, hostile text, plain output."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from hale.model.results import Guidance, HostRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report import gather_progress, matrix, terminal
from hale.report.matrix import failure_block
from hale.report.text import fold_hostnames
from hale.report.verdicts import PRESENTATION
from tests.reports import factories
from tests.reports.test_html import ALL, hostile

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("width", [80, 120])
def test_golden(recorded: Results, golden: Golden, width: int) -> None:
    golden(f"terminal-{width}.txt", terminal.text(recorded, width))


def test_golden_verbose(recorded: Results, golden: Golden) -> None:
    golden("terminal-verbose.txt", terminal.text(recorded, 100, verbosity=1))


def test_golden_svg(recorded: Results, golden: Golden) -> None:
    golden("matrix.svg", terminal.svg(recorded))


def test_svg_fetches_nothing_and_names_no_place(recorded: Results) -> None:
    recorded.run.inventory = "/srv/ops/inventory.ini"
    drawn = terminal.svg(recorded)
    assert re.findall(r"https?://[^\"' <]+", drawn) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in drawn.replace("url(#hale-", "")
    assert "/srv/" not in drawn
    assert drawn == terminal.svg(recorded)


def many(recorded: Results, count: int, odd: int = 0) -> Results:
    """The recorded run for that many hosts like one of them; `odd` of them differ, each."""
    model = [r for r in recorded.results if r.host == "k8s-master-01"]
    hosts, rows = [], []
    for number in range(1, count + 1):
        name = f"k8s-node-{number:03}"
        hosts.append(HostRecord(name))
        for at, row in enumerate(model):
            other = number <= odd and at < 7 and (number >> at) & 1
            verdict = Verdict.UNKNOWN if other else row.verdict
            rows.append(msgspec.structs.replace(row, host=name, verdict=verdict))
    rows += [r for r in recorded.results if r.host == "cluster"]
    return msgspec.structs.replace(recorded, hosts=hosts, results=rows)


def lines(results: Results, width: int, verbosity: int = 0) -> list[str]:
    return terminal.text(results, width, verbosity).splitlines()


def widest(printed: list[str]) -> int:
    """Columns of the widest line, but for commands, which are not broken."""
    return max(cell_len(line) for line in printed if not line.startswith("  invoke "))


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(("count", "odd"), [(1, 0), (5, 2), (30, 0), (30, 20), (100, 3), (100, 60)])
def test_any_number_of_hosts(recorded: Results, count: int, odd: int, width: int) -> None:
    printed = lines(many(recorded, count, odd), width)
    assert widest(printed) <= width
    assert all(line == line.rstrip() for line in printed)


def test_hosts_that_look_the_same_share_a_column(recorded: Results) -> None:
    printed = lines(many(recorded, 100, 2), 80, -1)
    # One block of the matrix, and a line for each kind of host behind it.
    assert sum(line.startswith("§") for line in printed) == 1
    assert [line for line in printed if "k8s-node" in line] == [
        "A  k8s-node-001",
        "B  k8s-node-002",
        "C  k8s-node-[003-100]",
    ]
    assert "D  cluster" in printed
    assert any(
        re.fullmatch(r" *×1 +×1 +×98 +×1", line.removeprefix("§  requirement")) for line in printed
    )


@pytest.mark.parametrize(("count", "odd"), [(30, 30), (100, 60)])
def test_no_host_is_lost_in_blocks(recorded: Results, count: int, odd: int) -> None:
    printed = lines(many(recorded, count, odd), 80, -1)
    heads = [line for line in printed if line.startswith(("§", "   "))]
    assert sum(line.startswith("§") for line in printed) > 1
    if odd == count:  # every host by its own name
        numbers = [n for line in heads for n in re.findall(r"\b\d{3}\b", line)]
        assert numbers == [f"{n:03}" for n in range(1, count + 1)]
    else:
        reported = sum(int(n) for line in heads for n in re.findall(r"×(\d+)", line))
        assert reported == count + 1  # and the cluster


def test_reasons_come_once(recorded: Results) -> None:
    printed = "\n".join(lines(many(recorded, 100), 100))
    assert printed.count("a fresh login of ops gets nofile") == 1
    assert "(all 100 hosts)" in printed


def test_a_dead_host_is_one_reason(recorded: Results) -> None:
    printed = terminal.text(recorded, 100)
    rows = [r for r in recorded.results if r.host == "k8s-node-02"]
    count = len({r.requirement for r in rows})
    assert f"? {len(rows)} results of {count} requirements (k8s-node-02)" in printed
    down = next(h.down for h in recorded.hosts if h.down).removeprefix("k8s-node-02: ")
    assert printed.count(down) == 1


def test_the_matrix_stands_below_the_reasons(recorded: Results) -> None:
    printed = terminal.text(recorded, 100)
    assert printed.index("✗ HOSTS-VIP") < printed.index("§  requirement")


@pytest.mark.parametrize("width", [40, 200])
def test_the_next_commands_are_the_last_lines(recorded: Results, width: int) -> None:
    """Unbroken at any width: what is copied from a terminal can be typed."""
    assert lines(recorded, width)[-1] == "  invoke explain HA-APISERVER-VIP"
    recorded.guidance = [
        Guidance("SYS-IP-FORWARD", "", "", ["runtime"]),
        Guidance("LIM-NOFILE", "", "", ["persisted"]),
        Guidance("SWAP-OFF", "", "", ["runtime"]),  # UNKNOWN: nothing is planned
    ]
    recorded.run.hosts_expression = "masters,!x"
    printed = lines(recorded, width)
    assert (
        "  invoke fix --inventory=inventory.ini --only=SYS-IP-FORWARD,LIM-NOFILE "
        "'--hosts=masters,!x'"
    ) in printed
    assert printed[-1] == "  invoke explain HA-APISERVER-VIP"
    if width == 200:
        assert printed[-5:] == [
            "next:",
            "  # the plan for 2 requirements; changes nothing",
            printed[-3],
            "  # how to fix it by hand, and 7 more by hand",
            printed[-1],
        ]
    recorded.results = [r for r in recorded.results if r.verdict is Verdict.PASS]
    assert "next:" not in terminal.text(recorded, 100)


def test_the_worst_reasons_stand_first(recorded: Results) -> None:
    recorded.results.reverse()
    printed = lines(recorded, 200)
    words = [s for line in printed for s in re.findall(r"^✗ .*\)  (critical|major)$", line)]
    assert words == sorted(words)
    assert set(words) == {"critical", "major"}


def test_no_color_and_no_terminal_mean_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert gather_progress.wants_color()
    monkeypatch.setenv("TERM", "dumb")
    assert not gather_progress.wants_color()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not gather_progress.wants_color()


def test_quiet_and_verbose(recorded: Results) -> None:
    quiet, usual, verbose = (terminal.text(recorded, 100, v) for v in (-1, 0, 1))
    assert "§  requirement" in quiet
    assert "✗ FAIL" in quiet
    assert "no line of /etc/hosts" not in quiet
    assert "no line of /etc/hosts" in usual
    assert "all of it in the report" in usual
    assert "all of it in the report" not in verbose
    assert "expected: " in verbose


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_what_must_not_be_overlooked(recorded: Results, verbosity: int) -> None:
    assert "COMPLETE" not in terminal.text(recorded, 80, verbosity)
    recorded.run.incomplete = ["hosts of the inventory left out: k8s-node-03"]
    recorded.run.state = "interrupted"
    printed = terminal.text(recorded, 80, verbosity)
    assert "INCOMPLETE: hosts of the inventory left out: k8s-node-03" in printed
    assert "INTERRUPTED" in printed


def test_nothing_judged_is_said(recorded: Results) -> None:
    recorded.results = []
    assert "nothing was judged" in terminal.text(recorded, 80)


@pytest.mark.parametrize("width", [20, 80, 300])
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_hostile_text_cannot_drive_a_terminal(
    recorded: Results, width: int, verbosity: int
) -> None:
    found = hostile(recorded)
    found.run.state = "finished"
    printed = terminal.text(found, width, verbosity)
    assert all(c.isprintable() for c in printed.replace("\n", ""))
    assert widest(printed.splitlines()) <= width


def test_hostile_text_is_no_markup_of_rich(recorded: Results) -> None:
    row = msgspec.structs.replace(
        next(r for r in recorded.results if r.verdict.failed),
        host="[red]h[/red]", actual="[bold]x[/bold] :smile: [link=http://x]y", title=ALL,
    )  # fmt: skip
    recorded.results = [row]
    printed = terminal.text(recorded, 120)
    assert "[red]h[/red]" in printed
    assert "[bold]x[/bold] :smile: [link=http://x]y" in printed
    assert all(c.isprintable() for c in failure_block(row).replace("\n", ""))


def test_plain_and_coloured_text_are_the_same(recorded: Results) -> None:
    plain = terminal.text(recorded, 100)
    coloured = terminal.text(recorded, 100, color=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m✗" in coloured
    without = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in without.splitlines()] == plain.splitlines()


def test_colours_are_the_operators_choice(
    recorded: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in terminal.text(recorded, 100)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" in terminal.text(recorded, 100, color=True)  # pytest has decided


@pytest.mark.parametrize(
    ("names", "output"),
    [
        ([], ""),
        (["a"], "a"),
        (["k8s-node-01"], "k8s-node-01"),
        (["n-1", "n-2"], "n-[1,2]"),
        (["n-1", "n-2", "n-3", "n-5", "web"], "n-[1-3,5], web"),
        (["n-9", "n-10", "n-09"], "n-9, n-[09,10]"),
        (["n-09", "n-10", "n-11"], "n-[09-11]"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.[1,2]"),
        (["ssh://web", "cluster"], "ssh://web, cluster"),
    ],
)
def test_folded(names: list[str], output: str) -> None:
    assert fold_hostnames(names) == output


def test_rich_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, hale.report.terminal, hale.report.html; sys.exit('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=factories.ROOT, check=False)
    assert done.returncode == 0


# --- from the command line ---


def test_a_run_ends_with_matrix_and_report(complete: factories.Audited) -> None:
    lines = complete.printed.splitlines()
    table = next(n for n, line in enumerate(lines) if line.startswith("§  requirement"))
    report = next(n for n, line in enumerate(lines) if line.startswith("report: "))
    assert table < report
    path = lines[report].removeprefix("report: ")
    assert (factories.ROOT / path).samefile(complete.folder / "report.html")
    assert "\x1b" not in complete.printed


def test_the_rows_of_the_matrix_are_all_requirements(complete: factories.Audited) -> None:
    shown = re.findall(r"^(?:\d+|\+) +([A-Z][A-Z0-9-]+) ", complete.printed, re.MULTILINE)
    assert shown == list(matrix.matrix(complete.results.results))


def test_what_goes_beyond_the_baseline_stands_last_and_has_no_chapter(recorded: Results) -> None:
    """An extended requirement has the number of a chapter near to it, but is not in that one."""
    first = recorded.results[0]
    before = list(matrix.matrix(recorded.results))
    assert "beyond the baseline" not in terminal.text(recorded, 100)
    for row in recorded.results:
        if row.requirement == first.requirement:
            row.profile = "extended"
    after = list(matrix.matrix(recorded.results))
    assert before.index(first.requirement) < len(before) - 1 == after.index(first.requirement)
    printed = terminal.text(recorded, 100, -1)
    assert re.search(rf"^\+  {first.requirement} ", printed, re.MULTILINE)
    assert "§ +: beyond the baseline" in printed
    assert not re.search(rf"^{first.chapter}  {first.requirement} ", printed, re.MULTILINE)


def rows_by_sign(results: list[Result]) -> set[str]:
    return {PRESENTATION[r.verdict].sign for r in results}


def test_signs_differ_by_more_than_colour(recorded: Results) -> None:
    assert len({shown.sign for shown in PRESENTATION.values()}) == len(Verdict)
    assert rows_by_sign(recorded.results) == {"✓", "✗", "?"}


def test_saved_results_print_the_same(complete: factories.Audited, tmp_path: Path) -> None:
    """The text depends on results.json alone."""
    assert terminal.text(complete.results, 100) in complete.printed
