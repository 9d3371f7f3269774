"""change.html of an install and a reset: from journals as the engine writes them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from hale.apply import journal
from hale.apply.journal import (
    Entry,
    InstallStepDone,
    InstallStepStarted,
    InstallStepState,
    Journal,
    PhaseEvent,
    PhaseState,
    RunApproval,
    RunFinished,
    RunHeader,
    RunState,
)
from hale.audit import results_file
from hale.install import change_page, saved_plan
from hale.install.engine import Engine
from hale.install.executor import InstallStepExecutor
from hale.install.phase import RunScript, Step, WriteFile
from hale.install.saved_plan import InstallPlan, PlannedPhase
from hale.model.change import Impact
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report.change import page
from hale.report.change.comparison import Movement
from hale.report.change.model import ChangeReport, ChangeState, Outcome, PlanSource
from hale.ssh import SessionPool
from tests.install import factories
from tests.reports.factories import DATA

FILE = "/etc/containerd/config.toml"


def at(second: int) -> str:
    return f"2026-11-29T22:00:{second:02}.000Z"


def begin(host: str, title: str, second: int, path: str = "") -> InstallStepStarted:
    return InstallStepStarted("runtime", host, title, path, not path, at(second))


def end(
    host: str, title: str, second: int, state: InstallStepState = InstallStepState.DONE
) -> InstallStepDone:
    return InstallStepDone("runtime", host, title, state, 1.5, False, at(second))


STARTED = PhaseEvent("runtime", PhaseState.STARTED, "", 0.0, at(1))
ONE: list[Entry] = [
    begin("m1", "containerd's settings", 2, FILE),
    end("m1", "containerd's settings", 3),
]
TWO: list[Entry] = [begin("m2", "restart containerd", 4)]


def a_run(folder: Path, kind: str, entries: Iterable[Entry]) -> Path:
    name = f"2026-11-29T220000Z-{kind}"
    run = RunHeader(
        journal.SCHEMA, name, kind, "bob", "bastion", "/i.ini", "", at(0), "", "carol", "CHG-2"
    )
    path = folder / name
    path.mkdir(parents=True)
    book = Journal(path, run)
    for entry in (RunApproval(PlanSource.MADE_NOW, "Sunday", at(0)), *entries):
        book.write(entry)
    book.close()
    return path


def actions(report: ChangeReport) -> dict[str, list[tuple[str, Outcome]]]:
    return {h.host: [(a.title, a.outcome) for a in h.actions] for h in report.hosts}


def sentence(report: ChangeReport) -> str:
    (found,) = re.findall('<p class="verdict">(.*?)</p>', page.render(report))
    return cast("str", found)


def test_an_install_that_was_killed(tmp_path: Path) -> None:
    report = change_page.build(a_run(tmp_path, "install", [STARTED, *ONE, *TWO]))
    assert report.state is ChangeState.CRASHED
    assert actions(report) == {
        "m1": [(f"write {FILE}", Outcome.DONE)],
        "m2": [("run restart containerd", Outcome.NOT_KNOWN)],
    }
    assert [a.effects for h in report.hosts for a in h.actions] == [(), (Impact.DISRUPTS_TRAFFIC,)]
    html = page.render(report)
    assert "Interrupted without an end: 1 of 2 changes made on 2 hosts, 1 not known." in html
    assert "Run the install again: it observes each phase, and completes it." in html
    assert "<pre>invoke reset --inventory /i.ini</pre>" in html
    assert "carol" in html
    assert "Sunday" in html


def test_a_step_that_failed(tmp_path: Path) -> None:
    failed = end("m2", "restart containerd", 5, InstallStepState.FAILED)
    phase = PhaseEvent("runtime", PhaseState.FAILED, "m2: exit status 1", 4.0, at(6))
    entries = [STARTED, *ONE, *TWO, failed, phase, RunFinished(RunState.FAILED, at(7))]
    report = change_page.build(a_run(tmp_path, "install", entries))
    assert actions(report)["m2"] == [("run restart containerd", Outcome.FAILED)]
    assert sentence(report) == "Incomplete: 1 of 2 changes made on 2 hosts, 1 failed."
    assert "m2: exit status 1" in page.render(report)


def test_a_step_that_runs_twice(tmp_path: Path) -> None:
    """In a second round of its phase, or in a retry: the second one is open."""
    entries = [*TWO, end("m2", "restart containerd", 5), begin("m2", "restart containerd", 6)]
    report = change_page.build(a_run(tmp_path, "install", entries))
    assert [outcome for _, outcome in actions(report)["m2"]] == [Outcome.DONE, Outcome.NOT_KNOWN]


def audits(folder: Path) -> None:
    """The gate's audit, and the final one, which has fewer of its results and others besides."""
    found = results_file.load_results(DATA / "results.json")
    rows = [r for r in found.results if r.host == "k8s-master-01"]
    rows = [r for r in rows if r.verdict is Verdict.PASS]

    def save(name: str, audit: Results, started: str) -> None:
        run = msgspec.structs.replace(audit.run, started=started)
        (folder / name).mkdir()
        saved = msgspec.structs.replace(audit, run=run)
        results_file.save_results(saved, folder / name / "results.json")

    save("gate", msgspec.structs.replace(found, results=rows[:6]), "2026-11-29T21:59:00.000Z")
    save("x-audit", msgspec.structs.replace(found, results=rows[:1]), "2026-11-29T21:59:30.000Z")
    save("2026-11-29T220030Z-audit", msgspec.structs.replace(found, results=rows[2:9]), at(30))


def test_the_final_audit(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "install", [STARTED, *ONE, RunFinished(RunState.FINISHED, at(20))])
    assert change_page.build(folder).comparison is None
    audits(folder)
    report = change_page.build(folder)
    assert report.comparison is not None
    assert report.comparison.counts == {Movement.UNCHANGED: 4, Movement.NEW: 3}
    wanted = "1 change made on 1 host; 7 results audited, none failed or unknown."
    assert sentence(report) == wanted
    assert 'class="banner good"' in page.render(report)


def test_the_final_audit_of_a_second_with_two(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "install", [STARTED, *ONE, RunFinished(RunState.FINISHED, at(20))])
    audits(folder)
    (folder / "2026-11-29T220030Z-audit").rename(folder / "2026-11-29T220030Z-audit-1")
    report = change_page.build(folder)
    assert report.comparison is not None
    (folder / "2026-11-29T220030Z-audit-1" / "report.html").write_text("")
    links = change_page.build(folder).links
    assert ("audit afterwards", "2026-11-29T220030Z-audit-1/report.html") in links


def test_an_audit_of_the_gate_is_no_final_one(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "install", [STARTED, *ONE])
    audits(folder)
    assert change_page.build(folder).comparison is None


def test_a_reset(tmp_path: Path) -> None:
    removed = InstallStepDone(
        "reset", "m1", "kubeadm reset", InstallStepState.DONE, 2.0, True, at(4)
    )
    entries: list[Entry] = [removed, RunFinished(RunState.FINISHED, at(5))]
    report = change_page.build(a_run(tmp_path, "reset", entries))
    html = page.render(report)
    assert sentence(report) == "1 change made on 1 host."
    assert "Cannot be undone: the cluster&#39;s data is deleted." in html
    assert "its data on them is deleted" in html


def test_a_run_that_changed_nothing_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    change_page.write_page(tmp_path, lambda host, text: pytest.fail(text))
    assert not (tmp_path / page.NAME).exists()


def test_the_page_of_a_plan(tmp_path: Path) -> None:
    phases = (
        PlannedPhase(
            "runtime", ("m1: containerd is not installed",), (f"m1: write {FILE}",), "", ""
        ),
        PlannedPhase("init", ("no cluster",), (), "", "depends on runtime"),
    )
    made = InstallPlan(
        saved_plan.SCHEMA,
        "alice",
        at(0),
        "1",
        "",
        "/i.ini",
        "",
        "",
        {},
        "",
        "",
        (),
        phases,
        "ab" * 32,
    )
    html = page.render(change_page.planned_install(made, tmp_path / "a b.json"))
    assert "Nothing has been changed: 2 changes on 1 host are planned." in html
    assert f'<code class="title">m1: write {FILE}</code>' in html
    assert "steps that are not known yet: depends on runtime" in html
    assert f"--sha256 {'ab' * 32}" in html
    assert "voids the approval" in html
    assert (change_page.save_plan_page(made, tmp_path / "a b.json")) == tmp_path / "a b.html"


def test_a_step_is_in_the_journal_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(tmp_path, "install", [])
    book = Journal(folder, None)
    running = Engine(factories.made(tmp_path), SessionPool({}), _Silent(), book)
    observed: list[tuple[str, str, bool]] = []

    def execute(self: InstallStepExecutor, step: Step, on_output: object) -> bool:
        (begun,) = journal.open_acts(journal.read_entries(folder))
        observed.append((begun.host, begun.path, begun.interrupts))
        return True

    monkeypatch.setattr(InstallStepExecutor, "execute", execute)
    executor = InstallStepExecutor(None, running.site.secrets)  # type: ignore[arg-type]
    running._step("runtime", WriteFile("m1", "settings", FILE, ""), executor)
    running._step("runtime", RunScript("m1", "restart", ":", interrupts=True), executor)
    book.close()
    assert observed == [("m1", FILE, False), ("m1", "", True)]
    assert not journal.open_acts(journal.read_entries(folder))


class _Silent:
    """Listens to an install, and shows nothing."""

    def phase(self, *_: object) -> None: ...
    def step(self, *_: object) -> None: ...
    def output_line(self, *_: object) -> None: ...
    def waiting(self, *_: object) -> None: ...
    def notice(self, *_: object) -> None: ...
