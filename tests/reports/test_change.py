"""change.html: golden pages, runs that were interrupted, hostile text, secrets, and its file."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from hale.apply import change_page, journal
from hale.apply.journal import Journal, RunState, StepDone, TrialEnded, TrialStarted
from hale.cli import runs as every_run
from hale.files import atomic
from hale.model.errors import Location, UserError
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.plan import change_page as plan_page
from hale.plan import plan
from hale.report.change import comparison, page
from hale.report.change.comparison import Movement
from hale.report.change.model import ChangeReport, ChangeState, Outcome, TrialState
from tests.reports import change_runs as runs
from tests.reports.factories import ROOT
from tests.reports.test_html import HOSTILE

Golden = Callable[[str, str], None]
NOW = "2026-11-29T22:20:00.000Z"


class Page(HTMLParser):
    """What a browser makes of a page: its text, tags, and attributes that could run something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(report: ChangeReport) -> str:
    return page.render(dataclasses.replace(report, made_at=NOW))


def bare(html: str) -> str:
    """The page without its style, and the style's hash."""
    html = re.sub(r"<style>.*?</style>", "<style></style>", html, flags=re.DOTALL)
    return re.sub(r"sha256-[^']+", "sha256-…", html)


def finished(folder: Path, recorded: Results) -> Path:
    made = runs.a_plan(runs.ONE, runs.TWO)
    entries = [*runs.complete(runs.ONE, 610), *runs.complete(runs.TWO, 620)]
    before, after = runs.audits(recorded)
    return runs.a_run(folder, made, [*entries, runs.end(RunState.FINISHED, 640)], before, after)


def killed(folder: Path, recorded: Results) -> Path:
    made = runs.a_plan(runs.ONE, runs.TWO, runs.THREE)
    entries = [*runs.complete(runs.ONE, 610), *runs.interrupted(runs.TWO, 620)]
    return runs.a_run(folder, made, entries, runs.audits(recorded)[0], None)


def failed(folder: Path, recorded: Results, why: str = "it has 2 names") -> Path:
    made = runs.a_plan(runs.ONE, runs.TWO)
    entries = [*runs.complete(runs.ONE, 610), *runs.refused(runs.TWO, 620, why)]
    before, after = runs.audits(recorded, (runs.ONE,))
    return runs.a_run(folder, made, [*entries, runs.end(RunState.FAILED, 640)], before, after)


RUNS = {"finished": finished, "killed": killed, "failed": failed}


def outcomes(report: ChangeReport) -> dict[str, list[Outcome]]:
    return {h.host: [a.outcome for a in h.actions] for h in report.hosts}


@pytest.mark.parametrize("name", RUNS)
def test_golden(tmp_path: Path, recorded: Results, golden: Golden, name: str) -> None:
    report = change_page.build(RUNS[name](tmp_path, recorded))
    golden(f"change-{name}.html", bare(rendered(report)))


def test_golden_plan(recorded: Results, golden: Golden) -> None:
    made = runs.a_plan(runs.ONE, runs.TWO)
    order = ("── batches, one after the other", "   1. workers: k8s-node-01")
    before = runs.audits(recorded)[0]
    report = plan_page.planned_change(made, Path("fix.json"), before, order)
    golden("change-plan.html", bare(rendered(report)))


def test_what_is_reviewed_is_what_is_applied(tmp_path: Path, recorded: Results) -> None:
    """The plan's page and the run's have the same digest and, host by host, the same changes."""
    folder = finished(tmp_path, recorded)
    made = plan.load_plan(folder / "plan.json")
    before = runs.audits(recorded)[0]
    planned = plan_page.planned_change(made, Path("fix.json"), before)
    applied = change_page.build(folder)
    assert planned.approval.plan_sha256 == applied.approval.plan_sha256 == made.sha256
    for one, two in zip(planned.hosts, applied.hosts, strict=True):
        assert [
            dataclasses.replace(a, outcome=Outcome.PLANNED, seconds=None) for a in two.actions
        ] == list(one.actions)
    for html in map(rendered, (planned, applied)):
        text = Page(html).text
        assert made.sha256 in text
        for step in runs.STEPS:
            assert step.change.reason in text
            assert all(line in text for line in step.diff.split("\n"))
    assert f"--sha256 {made.sha256}" in Page(rendered(planned)).text


def test_a_run_that_was_killed(tmp_path: Path, recorded: Results) -> None:
    report = change_page.build(killed(tmp_path, recorded))
    assert report.state is ChangeState.CRASHED
    assert outcomes(report) == {
        runs.ONE: [Outcome.DONE] * 4,
        runs.TWO: [Outcome.DONE, Outcome.NOT_KNOWN, Outcome.NOT_BEGUN, Outcome.NOT_BEGUN],
        runs.THREE: [Outcome.NOT_BEGUN] * 4,
    }
    text = Page(rendered(report)).text
    assert "5 of 12 changes made on 3 hosts, 6 not begun, 1 not known; not audited since." in text
    assert "no end in the journal" in text


def test_recovery_completes_the_page(tmp_path: Path, recorded: Results) -> None:
    """What `recovery.recover_run` journals of the open step: it was not applied, or it was."""
    folder = killed(tmp_path, recorded)
    for undo, outcome in (((), Outcome.NOT_APPLIED), ((runs.STEPS[1].change,), Outcome.DONE)):
        saved = (folder / journal.NAME).read_bytes()
        book = Journal(folder, None)
        book.write(StepDone(runs.TWO, 2, undo, runs.at(900)))
        book.write(runs.end(RunState.INTERRUPTED, 901))
        book.close()
        report = change_page.build(folder)
        assert report.state is ChangeState.INTERRUPTED
        assert outcomes(report)[runs.TWO][1] is outcome
        (folder / journal.NAME).write_bytes(saved)


def test_a_run_that_is_running(tmp_path: Path, recorded: Results) -> None:
    """Its page may be all that a power cut leaves: it promises nothing of what has no entry."""
    folder = killed(tmp_path, recorded)
    book = Journal(folder, None)
    report = change_page.build(folder)
    book.close()
    assert report.state is ChangeState.RUNNING
    assert outcomes(report)[runs.THREE] == [Outcome.NOT_KNOWN] * 4
    assert "IN PROGRESS" in Page(rendered(report)).text


def test_a_run_that_never_began(tmp_path: Path, recorded: Results) -> None:
    folder = killed(tmp_path, recorded)
    (folder / journal.NAME).unlink()
    report = change_page.build(folder)
    assert report.state is ChangeState.NOT_BEGUN
    assert "Nothing was changed: the run ended before the first of 12 changes" in rendered(report)


def test_an_undo(tmp_path: Path, recorded: Results) -> None:
    """It has a page of its own; what the run had fixed fails again, which is its purpose."""
    undone = finished(tmp_path, recorded)
    change_page.write_page(undone, lambda host, text: None)
    page_of_run = (undone / page.NAME).read_bytes()
    made = runs.a_plan(runs.ONE)
    after, before = runs.audits(recorded, (runs.ONE,))
    entries = [*runs.complete(runs.ONE, 700), runs.end(RunState.FINISHED, 710)]
    folder = runs.a_run(tmp_path, made, entries, before, after, "undo", undone.name)
    change_page.write_page(folder, lambda host, text: None)
    html = (folder / page.NAME).read_text()
    assert f"Hale undo of {undone.name}, {folder.name}</h1>" in html
    assert "4 changes made on 1 host; 2 results no longer passing, 1 fixed" in html
    assert 'class="banner mild"' in html
    assert f"invoke undo {folder.name}" in html
    assert f"../{undone.name}/change.html" in Page(html).links
    assert (undone / page.NAME).read_bytes() == page_of_run


KEPT, BY_HOST = TrialState.CONFIRMED, TrialState.UNDONE
PART, NONE = TrialState.INCOMPLETE, TrialState.NONE


@pytest.mark.parametrize(
    ("ends", "tone", "of_page", "of_runs"),
    [
        ((), "good", ("ON TRIAL", f"From 2026-11-29 22:20:00 UTC on, {runs.ONE}"), "since 20"),
        ((KEPT, KEPT), "good", ("confirmed at 2026-11-29 22:11:50 UTC",), "confirmed on k8s-"),
        (
            (KEPT, BY_HOST),
            "bad",
            (
                f"NOT CONFIRMED{runs.TWO}: undone by the host at 2026-11-29 22:11:50 UTC: why.",
                "8 changes made on 2 hosts, not kept on 1 host",
            ),
            f"undone by the hosts: {runs.TWO}",
        ),
        ((PART, KEPT), "bad", ("undone by the host, but not all of it",), "in part by the hosts"),
        ((KEPT, NONE), "bad", ("only an audit shows its state",), "without a record on"),
    ],
    ids=["waiting", "confirmed", "undone", "incomplete", "none"],
)
def test_a_run_on_trial(
    tmp_path: Path,
    recorded: Results,
    ends: tuple[TrialState, ...],
    tone: str,
    of_page: tuple[str, ...],
    of_runs: str,
) -> None:
    """The page and `invoke runs` show how it stands on each host, as far as the journal has it."""
    hosts = (runs.ONE, runs.TWO)
    rows = [r for r in recorded.results if r.requirement == runs.FORWARD][:1]
    passed = msgspec.structs.replace(rows[0], requirement="OTHER", verdict=Verdict.PASS)
    audit = msgspec.structs.replace(recorded, results=[passed])
    trials = [TrialStarted(host, 600, runs.at(1200), runs.at(600)) for host in hosts]
    steps = [entry for host in hosts for entry in runs.complete(host, 610)]
    ended = [
        TrialEnded(host, state, runs.at(710), () if state is KEPT else ("why",), runs.at(720))
        for host, state in zip(hosts, ends, strict=False)
    ]
    entries = [*trials, *steps, runs.end(RunState.FINISHED, 640), *ended]
    folder = runs.a_run(tmp_path, runs.a_plan(*hosts), entries, audit, audit)
    html = rendered(change_page.build(folder))
    assert f'class="banner {tone}"' in html
    for part in of_page:
        assert part in Page(html).text
    (state,) = every_run.table(tmp_path).columns[-1].cells
    assert of_runs in str(state)


@pytest.mark.parametrize(
    ("before", "after", "tone"),
    [
        ("FAIL", "PASS", "good"),
        ("PASS", "PASS", "good"),
        ("WAIVED", "WAIVED", "good"),
        ("PASS", "FAIL", "bad"),
        ("FAIL", "FAIL", "mild"),
        ("PASS", "UNKNOWN", "mild"),
    ],
)
def test_only_what_is_as_required_is_a_success(
    tmp_path: Path, recorded: Results, before: str, after: str, tone: str
) -> None:
    """All changes were made: the banner is that of success where no other result fails."""
    rows = [r for r in recorded.results if r.requirement == runs.FORWARD][:1]

    def audit(verdict: str) -> Results:
        row = msgspec.structs.replace(rows[0], requirement="OTHER", verdict=Verdict(verdict))
        return msgspec.structs.replace(recorded, results=[row])

    entries = [*runs.complete(runs.ONE, 610), runs.end(RunState.FINISHED, 640)]
    folder = runs.a_run(tmp_path, runs.a_plan(runs.ONE), entries, audit(before), audit(after))
    assert f'class="banner {tone}"' in rendered(change_page.build(folder))


def test_refused_failed_and_skipped(tmp_path: Path, recorded: Results) -> None:
    report = change_page.build(failed(tmp_path, recorded))
    wanted = [Outcome.REFUSED, Outcome.FAILED, Outcome.SKIPPED, Outcome.SKIPPED]
    assert outcomes(report)[runs.TWO] == wanted
    text = Page(rendered(report)).text
    assert "refused: it has 2 names" in text
    assert "failed: no space on the device" in text
    assert 'class="banner bad"' in rendered(report)


@pytest.mark.parametrize("name", RUNS)
def test_nothing_runs_and_nothing_is_fetched(tmp_path: Path, recorded: Results, name: str) -> None:
    html = rendered(change_page.build(RUNS[name](tmp_path, recorded)))
    found = Page(html)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "form", "template"}
    assert not [a for a in found.attributes if a.startswith("on") or a == "style"]
    assert not [link for link in found.links if ":" in link or link.startswith("//")]
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text(tmp_path: Path, recorded: Results, hostile: str) -> None:
    """In every text of the page that a host, a file or an operator has a hand in."""
    clean = Page(rendered(change_page.build(failed(tmp_path / "clean", recorded))))
    raw, hostile = hostile, hostile.encode(errors="backslashreplace").decode()
    change = msgspec.structs.replace(runs.STEPS[2].change, reason=hostile, value=hostile)
    steps = (
        msgspec.structs.replace(runs.STEPS[0], diff=f"--- a\n+++ b\n+{hostile}"),
        *runs.STEPS[1:3],
        msgspec.structs.replace(runs.STEPS[2], requirements=(hostile,), change=change),
    )
    made = runs.a_plan(runs.ONE, runs.TWO, steps=steps)
    before, after = runs.audits(recorded)
    rows = [
        msgspec.structs.replace(r, actual=hostile, expected=hostile, title=hostile)
        for r in after.results
    ]
    entries = [*runs.refused(runs.ONE, 610, hostile), runs.end(RunState.FAILED, 640)]
    folder = runs.a_run(
        tmp_path, made, entries, before, msgspec.structs.replace(after, results=rows)
    )
    report = change_page.build(folder)
    report = dataclasses.replace(
        report,
        inventory=raw,
        order=(raw,),
        approval=dataclasses.replace(
            report.approval, approver=raw, ticket=raw, window=raw, operator=raw
        ),
    )
    html = rendered(report)
    found = Page(html)
    assert found.tags == clean.tags
    assert found.attributes == clean.attributes
    assert not [c for c in html if not c.isprintable() and c not in "\n\t"]
    html.encode(errors="backslashreplace")


def test_secrets(tmp_path: Path, recorded: Results) -> None:
    """Masked in each text, also where whoever made the report has forgotten it."""
    secret = "--token abcdef.0123456789abcdef"
    report = change_page.build(failed(tmp_path, recorded, f"kubeadm join {secret}"))
    report = dataclasses.replace(report, order=(f"password={secret[8:]}",))
    html = rendered(report)
    assert "abcdef.0123456789abcdef" not in html
    assert "hunter2" not in html
    assert "kubeadm join" in html


def test_the_file(tmp_path: Path, recorded: Results) -> None:
    folder = finished(tmp_path, recorded)
    reported: list[str] = []
    change_page.write_page(folder, lambda host, text: reported.append(text))
    path = folder / page.NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []
    assert reported == []


def test_a_page_that_cannot_be_written_ends_no_run(
    tmp_path: Path, recorded: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(tmp_path, recorded)

    def full(path: Path, content: bytes, mode: int = 0o600) -> None:
        raise UserError("cannot be written: No space left on device.", Location(path))

    monkeypatch.setattr(atomic, "write", full)
    reported: list[str] = []
    with page.written(folder, change_page.build, lambda host, text: reported.append(text)):
        pass
    (text,) = reported
    assert text.startswith("change.html is not written: ")
    assert "No space left" in text


@pytest.mark.parametrize(
    ("plan_file", "html"),
    [("fix.json", "fix.html"), ("fix", "fix.html"), ("fix.html", "fix.html.html")],
)
def test_the_page_beside_a_plan(tmp_path: Path, plan_file: str, html: str) -> None:
    assert page.beside(tmp_path / plan_file) == tmp_path / html


def test_a_page_on_request(tmp_path: Path, recorded: Results) -> None:
    """`invoke report RUN --format change`, of a run whose process was killed."""
    folder = killed(tmp_path, recorded)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "invoke"), "report", folder.name, "--format=change",
            f"--reports={tmp_path}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Interrupted without an end: 5 of 12 changes made" in done.stdout


P, F, U, W, N = (
    Verdict.PASS,
    Verdict.FAIL,
    Verdict.UNKNOWN,
    Verdict.WAIVED,
    Verdict.NOT_APPLICABLE,
)


@pytest.mark.parametrize(
    ("before", "after", "movement"),
    [
        (F, P, Movement.FIXED),
        (U, P, Movement.FIXED),
        (P, F, Movement.BROKEN),
        (W, F, Movement.BROKEN),
        (F, F, Movement.UNCHANGED),
        (U, F, Movement.UNCHANGED),
        (P, P, Movement.UNCHANGED),
        (N, N, Movement.UNCHANGED),
        (F, W, Movement.WAIVED),
        (W, W, Movement.WAIVED),
        (F, U, Movement.NOT_JUDGED),
        (P, U, Movement.NOT_JUDGED),
        (F, N, Movement.NOT_JUDGED),
        (P, None, Movement.NOT_JUDGED),
        (None, P, Movement.NEW),
        (None, F, Movement.NEW),
        (None, U, Movement.NOT_JUDGED),
    ],
)
def test_movements(
    recorded: Results, before: Verdict | None, after: Verdict | None, movement: Movement
) -> None:
    def audit(verdict: Verdict | None) -> Results:
        rows = [msgspec.structs.replace(recorded.results[0], verdict=verdict)] if verdict else []
        return msgspec.structs.replace(recorded, results=rows)

    found = comparison.compare(audit(before), audit(after))
    assert [row.movement for row in found.rows] == [movement]
    assert sum(found.counts.values()) == 1
