"""The run of an audit in pytest: gathers before the first test and records each result."""

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hale.audit import evidence_file
from hale.audit.accepted import Accepted
from hale.audit.audit import Audit
from hale.audit.cases import coverage_gaps
from hale.audit.guidance import guidance
from hale.audit.notices import notices
from hale.audit.recorder import Recorder, create_run_dir
from hale.audit.run import evidence_of, host_records, run_record, save_progress, waiver_states
from hale.files import atomic, provenance, signals, signature
from hale.model import results
from hale.model.errors import UserError
from hale.model.requirement import Case
from hale.model.results import ROW
from hale.pytest_plugin import drift
from hale.pytest_plugin.reports import ReportFiles
from hale.report import ci, gather_progress, html, terminal
from hale.ssh import SessionPool


def callspec_params(item: pytest.Item) -> dict[str, Any]:
    """The parameters of a test."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def case_of(item: pytest.Item) -> Case[Any] | None:
    """The case that a test judges; None for a site's own check."""
    found = callspec_params(item).get("case")
    return found if isinstance(found, Case) else None


@contextlib.contextmanager
def ends_pytest() -> Iterator[None]:
    """A UserError ends pytest with one line, `ERROR: <file>: <reason>`, and exit status 4.

    In any hook but pytest_configure pytest would show its traceback, as INTERNALERROR.
    """
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


class AuditRun:
    """The audit in pytest's main process, not in xdist's workers: it gathers and records."""

    def __init__(
        self,
        config: pytest.Config,
        audit: Audit,
        sessions: SessionPool,
        accepted: Accepted | None = None,
    ) -> None:
        """accepted: the run to report the drift from, with --drift."""
        self.config = config
        self.audit = audit
        self.sessions = sessions
        self.accepted = accepted
        self.revision = provenance.GitRevision()
        self.started = time.time()
        self.folder = create_run_dir(Path(config.option.reports), "audit")
        self.selected: list[Case[Any]] = []
        self.reports = ReportFiles(config, self.folder)
        self.recorder: Recorder | None = None
        self.writer = atomic.BackgroundWriter()
        self.log = ci.Log(ci.detect(os.environ))
        self.narrowed = False  # with xdist: the workers have reported their selection

    @property
    def distributed(self) -> bool:
        return self.config.pluginmanager.hasplugin("dsession")

    def pytest_report_header(self) -> str:
        known, audit = self.audit.inventory, self.audit
        names = [c.host.name for c in audit.selected_hosts]
        return (
            f"hale {provenance.version()}: {known.environment} inventory {known.path}, "
            f"profile {audit.profile}, {len(names)} of {len(known.hosts)} hosts\n"
            f"reports: {self.folder}"
            + (f"\nevidence: {self._evidence_from()}" if self.config.option.evidence else "")
        )

    def _evidence_from(self) -> str:
        of = self.audit.evidence_of
        return (self.config.option.evidence or "") + (
            f" (gathered with another inventory, or another state of it: {of})" if of else ""
        )

    @pytest.hookimpl(tryfirst=True)
    @ends_pytest()
    def pytest_sessionstart(self) -> None:
        if (reporter := self.config.pluginmanager.getplugin("terminalreporter")) is not None:
            reporter.write(self.log.begin())  # from here on, texts of hosts may be shown
        # With xdist: gather before the workers start, for every case that may be selected.
        if self.distributed:
            self._gather(self.audit.cases)
            self.writer.flush()  # the workers read evidence.json
            self.sessions.begin_close()  # workers have sessions of their own

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["hale_evidence"] = str(self.folder / "evidence.json")
        node.workerinput["hale_become_password"] = next(
            (t.become_password for t in self.sessions.targets.values()), None
        )

    @pytest.hookimpl(optionalhook=True)
    @ends_pytest()
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if not self.narrowed:  # all workers collect the same
            self.narrowed = True
            self._begin(ids)
            self._record_hosts()

    # Without xdist: gather for exactly the collected cases.
    @pytest.hookimpl(tryfirst=True)
    @ends_pytest()
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if self.distributed:
            return
        cases = [case for item in session.items if (case := case_of(item))]
        self._gather(cases, session.items)
        self._record_hosts()

    def _gather(self, cases: Sequence[Case[Any]], items: Sequence[pytest.Item] = ()) -> None:
        def begin() -> None:
            # From here on the file has every case, UNKNOWN until it is judged.
            self._begin(case.nodeid for case in cases)

        def while_waiting() -> None:
            with signals.defer_sigint():
                begin()
                # Prepare what the end of the run needs while the hosts answer.
                terminal.preload()
                html.preload()
                for item in items:
                    _ = item.location  # pytest caches it

        evidence = self.folder / "evidence.json"

        def save() -> None:
            if self.recorder is not None:
                save_progress(self.audit, self.recorder, evidence, self.writer.write)

        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        try:
            if self.config.option.evidence:
                begin()
            elif reporter is None:  # -p no:terminal
                self.audit.gather(cases, lambda evidence: None, while_waiting, save)
            else:
                with gather_progress.GatherProgress(
                    reporter, len(self.audit.selected_hosts)
                ) as progress:
                    self.audit.gather(cases, progress.report, while_waiting, save)
        except KeyboardInterrupt:
            with signals.defer_sigint():
                self.sessions.begin_close()  # a host may hold on, so it is not waited for last
                save()
            raise
        evidence_file.save_evidence(evidence_of(self.audit), evidence, self.writer.write)
        unverified = results.unverified_hosts(host_records(self.audit))
        if unverified and reporter is not None:
            names = ", ".join(unverified)
            reporter.write_line(
                f"HOST KEYS NOT VERIFIED: the key of {names} was not in known_hosts: what answered "
                "may be another machine",
                red=True,
            )

    def _begin(self, collected: Iterable[str]) -> None:
        wanted = set(collected)
        self.selected = selected = [c for c in self.audit.cases if c.nodeid in wanted]
        self.recorder = Recorder(self.folder / "results.json", self._run(), self.writer.write)
        self.recorder.begin(selected, self.audit.all_cases, [])

    def _record_hosts(self) -> None:
        assert self.recorder is not None
        self.recorder.results.hosts = host_records(self.audit)

    def _run(self) -> results.Run:
        option = self.config.option
        command = ["pytest", *self.config.invocation_params.args]
        return run_record(
            self.audit,
            self.revision,
            command,
            option.hale_hosts or "",
            self.started,
            self._evidence_from(),
            self.reports.metadata,
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = getattr(report, ROW, None)
        if row is not None and self.recorder is not None:
            self.recorder.record(row)

    @pytest.hookimpl(tryfirst=True)
    @ends_pytest()
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.recorder is None:
            return
        # Whatever pytest and its plugins counted: --setup-only runs no test, and ends with 0.
        rows_failed = any(row.verdict.failed for row in self.recorder.judged)
        if session.exitstatus == pytest.ExitCode.OK and (rows_failed or self.recorder.unjudged):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reasons = self._coverage_gaps(self.recorder.unjudged)
        self.recorder.results.waivers = waiver_states(self.audit, self.recorder)
        self.recorder.results.guidance = guidance(self.selected, self.recorder.judged)
        self.recorder.results.notices = notices(self.audit, self.selected)
        self.reports.complete(self.recorder.results)
        if self.accepted is not None:
            self.recorder.results.drift = drift.since(self.accepted, self.recorder)
        self.recorder.end(int(session.exitstatus), reasons)
        self.reports.write(self.recorder.results, self.writer)
        if not self.config.pluginmanager.hasplugin("terminalreporter"):
            self._finish_files()  # with one, the summary is made while the files are written

    def _finish_files(self) -> None:
        """Wait for the run's files; then the manifest, unless the run was cut short.

        Raises UserError.
        """
        self.writer.flush()
        if self.recorder is not None and self.recorder.results.run.state == "finished":
            signature.seal(self.folder)

    def _coverage_gaps(self, unjudged: int) -> list[str]:
        audit = self.audit
        audited = [s.host.name for s in audit.selected_hosts]
        return coverage_gaps(audit.inventory, audited, audit.all_cases, self.selected, unjudged)

    def discard_nothing(self) -> None:
        """Remove the folder of a run that judged nothing: empty reports look clean."""
        with ends_pytest():
            self.writer.flush()  # of a run that ended before its summary
        if self.recorder is None:
            with contextlib.suppress(OSError):  # not empty if hosts were gathered: evidence.json
                self.folder.rmdir()

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # after the other plugins name their files
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        try:
            yield
            terminalreporter.write(self.log.open_section("hale", "Hale", time.time()))
            self._summarize(terminalreporter)
        finally:
            terminalreporter.write(self.log.close_section("hale", time.time()))
            terminalreporter.write(self.log.end())
        if self.recorder is not None:
            terminalreporter.write(self.log.annotations(self.recorder.results))
            ci.append_summary(self.recorder.results, os.environ)

    def _summarize(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.recorder is None:
            return
        shown = self.reports.html or self.folder
        try:
            self._finish_files()
        except UserError as error:  # the verdicts are shown all the same
            terminal.summary(terminalreporter, self.recorder.results, self.folder)
            raise pytest.UsageError(str(error)) from None
        terminal.summary(terminalreporter, self.recorder.results, shown)
        if self.recorder.results.drift is not None:
            drift.write(terminalreporter, self.recorder.results.drift)
