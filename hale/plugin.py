"""The pytest plugin: `pytest --hosts=…` becomes an audit.

testinfra owns `--hosts`. What the operator typed is resolved through the inventory here, and
testinfra's own `host` fixture then sees the chosen hosts over our connection, for checks that
a site adds. Our checks never touch a host: their fixtures parse evidence.
"""

import gc
import getpass
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import testinfra

from hale import (
    connection,
    evidence,
    html,
    inventory,
    junit,
    provenance,
    results,
    standard,
    terminal,
    transports,
)
from hale.audit import Audit, fact, from_evidence, incomplete, overrides_sha256
from hale.errors import HaleError
from hale.fact import Evidence, Fact, NotApplicable, Readings, Unreadable
from hale.gather import Transport
from hale.recorder import Recorder, folder
from hale.selection import Chosen, choose
from hale.standard import PROFILES, ROLES, SEVERITIES, Case, Requirement
from hale.verdicts import Verdict

ROOT = provenance.ROOT
CHECKS = ROOT / "checks"
AUDIT = pytest.StashKey[Audit]()
FACT = pytest.StashKey[Fact]()
ROW = "hale_row"  # the attribute of a test report that carries its row, through xdist too
READ = pytest.StashKey[Iterable[Readings]]()
RUN = pytest.StashKey["Controller"]()

WHAT_TO_TYPE = """\
no host is contacted without --hosts. Type for example
    pytest --hosts=all                  every host of {inventory}
    pytest --hosts='masters,!{host}'    groups, hosts, globs, and `!` to leave out
    pytest --hosts=local://             this machine
Groups: {groups}."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hale", "audit of Kubernetes hosts (with --hosts)")
    group.addoption(
        "--inventory",
        metavar="FILE",
        help="inventory in Ansible's INI format (default: inventory.ini at the top of the tree)",
    )
    group.addoption(
        "--profile",
        choices=PROFILES,
        default=PROFILES[0],
        help="document: what the document says (default); extended: what clusters die of besides",
    )
    group.addoption(
        "--evidence",
        metavar="FILE",
        help="judge a run's evidence.json again; no host is contacted",
    )
    group.addoption(
        "--reports",
        metavar="DIR",
        default=str(ROOT / "reports"),
        help="where each run makes its folder (default: reports/)",
    )
    group.addoption(
        "--connect-timeout",
        metavar="SECONDS",
        type=float,
        default=5.0,
        help="how long a host may take to let us in (default: 5)",
    )
    group.addoption(
        "--gather-timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="how long a host may take to answer everything (default: 60)",
    )
    group.addoption(
        "--ask-become-pass",
        action="store_true",
        help="ask once for the password that sudo wants on the hosts",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    try:
        stated = standard.load(ROOT / "standard")
        for name, text in _markers(stated):
            config.addinivalue_line("markers", f"{name}: {text}")
        if config.option.hosts is None and config.option.evidence is None:
            return
        audit = _audit(config, worker, stated)
    except HaleError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[AUDIT] = audit
    config.pluginmanager.register(_subject_fixtures(audit), "hale-subjects")
    if worker is not None:
        audit.hosts = evidence.load(Path(worker["hale_evidence"])).hosts
    elif not config.option.collectonly:
        controller = Controller(config, audit)
        config.stash[RUN] = controller
        config.pluginmanager.register(junit.Suite(config, controller), "hale-junit")
        config.pluginmanager.register(controller, "hale-controller")
        config.pluginmanager.register(html.Page(controller), "hale-html")


def pytest_unconfigure(config: pytest.Config) -> None:
    connection.close_sessions()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    config = session.config
    if AUDIT in config.stash:
        return
    for argument in config.args:
        path = Path(argument.partition("::")[0]).resolve()
        if path == CHECKS or CHECKS in path.parents or path in CHECKS.parents:
            raise pytest.UsageError(_what_to_type(config))


def _what_to_type(config: pytest.Config) -> str:
    path = Path(config.option.inventory or ROOT / "inventory.ini")
    try:
        known = inventory.load(path)
    except HaleError as error:
        return str(error)
    groups = ", ".join(f"{name} ({len(members)})" for name, members in known.groups.items())
    host = known.hosts[0].name if known.hosts else "HOST"
    return WHAT_TO_TYPE.format(inventory=path, host=host, groups=groups)


# --- from options to an audit ---


def _audit(
    config: pytest.Config, worker: dict[str, Any] | None, stated: standard.Standard
) -> Audit:
    option = config.option
    saved = evidence.load(Path(option.evidence)) if option.evidence else None
    path = option.inventory or (saved.inventory if saved else ROOT / "inventory.ini")
    known = inventory.load(Path(path))
    standard.check_overrides(stated, known)
    # xdist hands workers our options as they are by now: hosts already rewritten.
    typed = getattr(option, "hale_hosts", option.hosts)
    option.hale_hosts = typed
    connection.register()
    chosen = () if saved is None else from_evidence(saved, known)
    if typed is not None:
        wanted = choose(typed, known, lambda uri: _expand(uri, option))
        if saved is not None:
            missing = [c.host.name for c in wanted if c.host.name not in saved.hosts]
            if missing:
                raise HaleError(f"{option.evidence} holds nothing of {', '.join(missing)}.")
        chosen = wanted
    targets = _targets(chosen, option, worker)
    connection.TARGETS.update(targets)
    option.hosts = ",".join(c.uri or f"hale://{c.host.name}" for c in chosen)
    audit = Audit(
        known,
        stated,
        option.profile,
        chosen,
        lambda one: _transport(one, targets, option),
        option.gather_timeout,
    )
    if saved is not None:
        audit.hosts = saved.hosts
    return audit


def _targets(
    chosen: Sequence[Chosen], option: Any, worker: dict[str, Any] | None
) -> dict[str, connection.Target]:
    password = worker["hale_become_password"] if worker else None
    if worker is None and option.ask_become_pass:
        password = getpass.getpass("sudo password on the hosts: ")
    option.hale_become_password = None
    return {
        c.host.name: transports.target(
            c.host,
            ssh_config=option.ssh_config,
            identity_file=option.ssh_identity_file,
            become=bool(option.sudo or option.ask_become_pass),
            become_user=option.sudo_user,
            become_password=password,
            connect_timeout=option.connect_timeout,
        )
        for c in chosen
        if not c.uri
    }


def _testinfra_hosts(uri: str, option: Any) -> list[Any]:
    """The arguments are those that testinfra's plugin uses itself: the objects are shared."""
    try:
        return testinfra.get_hosts(
            [uri],
            connection=option.connection,
            ssh_config=option.ssh_config,
            ssh_identity_file=option.ssh_identity_file,
            sudo=option.sudo,
            sudo_user=option.sudo_user,
            ansible_inventory=option.ansible_inventory,
            force_ansible=option.force_ansible,
        )
    except Exception as error:  # testinfra, and what each backend imports and runs
        raise HaleError(f"--hosts={uri}: {error}") from None


def _expand(uri: str, option: Any) -> list[tuple[str, str]]:
    found = []
    for host in _testinfra_hosts(uri, option):
        found.append(_names(host))
    return found


def _names(host: Any) -> tuple[str, str]:
    """A testinfra host's own name, and testinfra's id of it, such as ssh://web1."""
    identity: str = host.backend.get_pytest_id()
    name: str | None = getattr(getattr(host.backend, "host", None), "name", None)
    return name or identity.partition("://")[2], identity


def _transport(chosen: Chosen, targets: dict[str, connection.Target], option: Any) -> Transport:
    if not chosen.uri:
        name = chosen.host.name
        return transports.Connected(connection.session_for(name), targets[name])
    for host in _testinfra_hosts(chosen.uri, option):
        if chosen.host.name in _names(host):
            return transports.Stock(host)
    raise HaleError(f"{chosen.uri}: {chosen.host.name} is gone.")


# --- tests: one for each case ---


def _markers(stated: standard.Standard) -> list[tuple[str, str]]:
    chapters = sorted({r.chapter for r in stated.requirements})
    subjects = sorted({r.subject for r in stated.requirements})
    return [
        *((f"chapter{number}", f"chapter {number} of the document") for number in chapters),
        *((subject, f"checks/test_{subject}.py") for subject in subjects),
        *((role, "role: the hosts that a requirement concerns") for role in ROLES),
        *((aspect, "aspect") for aspect in standard.ASPECTS),
        *((severity, "severity") for severity in SEVERITIES),
        *((profile, "profile") for profile in PROFILES),
    ]


def _marks(requirement: Requirement, aspect: str) -> list[pytest.MarkDecorator]:
    names = {
        f"chapter{requirement.chapter}": None,
        requirement.subject: None,
        requirement.role: None,
        aspect: None,
        requirement.severity: None,
        requirement.profile: None,
    }
    return [getattr(pytest.mark, name) for name in names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    audit = metafunc.config.stash.get(AUDIT, None)
    if audit is None or "case" not in metafunc.fixturenames:
        return
    subject = metafunc.module.__name__.rpartition(".")[2].removeprefix("test_")
    aspect = metafunc.function.__name__.removeprefix("test_")
    marks: dict[str, list[pytest.MarkDecorator]] = {}
    params = []
    for case in audit.by_test.get((subject, aspect), ()):
        requirement = case.requirement
        if requirement.id not in marks:
            marks[requirement.id] = _marks(requirement, aspect)
        name = f"{case.host_name}-{requirement.id}"
        params.append(pytest.param(case, marks=marks[requirement.id], id=name))
    # Nothing to judge here (another profile, another role): taken out again below.
    metafunc.parametrize("case", params or [pytest.param(None, id="nothing")])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _params(item).get("case", item) is not None]


def _params(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def _case(item: pytest.Item) -> Case[Any] | None:
    found = _params(item).get("case")
    return found if isinstance(found, Case) else None


@pytest.fixture
def requirement(case: Case[Any]) -> Requirement:
    """The requirement that this test judges, as the standard states it."""
    return case.requirement


@pytest.fixture
def parameters(case: Case[Any]) -> Any:
    """The requirement's values for this host, overrides applied: the subject's Parameters."""
    return case.parameters


def _subject_fixtures(audit: Audit) -> object:
    """A fixture for each subject, named after it: the fact of the test's aspect."""

    def make(subject: str) -> Any:
        def read(self: object, request: pytest.FixtureRequest, case: Case[Any]) -> Fact:
            raw, everything = audit.read(case)
            request.node.stash[READ] = everything
            try:
                found = fact(case, raw)
            except NotApplicable as reason:
                pytest.skip(str(reason))
            request.node.stash[FACT] = found
            return found

        read.__doc__ = f"How the host is: facts/{subject}.py."
        return pytest.fixture(name=subject)(read)

    names = [path.stem.removeprefix("test_") for path in sorted(CHECKS.glob("test_*.py"))]
    return type("SubjectFixtures", (), {f"read_{name}": make(name) for name in names})()


# --- verdicts ---


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    case = _case(item)
    if case is None:
        return report
    verdict = _verdict(report, call)
    if verdict is None:
        return report
    seen = item.stash.get(FACT, None)
    reason = _reason(report, call)
    told = None if verdict is Verdict.UNKNOWN else seen
    row = results.judged(case, verdict, told, reason, item.stash.get(READ, ()), report.duration)
    setattr(report, ROW, msgspec.to_builtins(row))
    report.user_properties += [
        ("host", row.host),
        ("requirement", row.requirement),
        ("aspect", row.aspect),
        ("verdict", row.verdict.value),
    ]
    if verdict.red:
        if verdict is Verdict.UNKNOWN and report.when == "call":
            report.when = "setup"  # pytest's word for an error rather than a failure
        expected = any(call.excinfo and call.excinfo.errisinstance(kind) for kind in KNOWN)
        if expected or verdict is Verdict.FAIL:
            report.longrepr = terminal.block(row)
    return report


KNOWN = (Unreadable, AssertionError)


def _verdict(report: pytest.TestReport, call: pytest.CallInfo[None]) -> Verdict | None:
    """None for a phase that decides nothing: setup or teardown that went well."""
    if report.skipped:
        return Verdict.NOT_APPLICABLE
    if report.passed:
        return Verdict.PASS if report.when == "call" else None
    failure = call.excinfo is not None and call.excinfo.errisinstance(AssertionError)
    return Verdict.FAIL if failure and report.when == "call" else Verdict.UNKNOWN


def _reason(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    error = call.excinfo.value
    if isinstance(error, Unreadable | pytest.skip.Exception):
        return str(error)
    place = call.excinfo.traceback[-1]
    return f"{type(error).__name__}: {error} (at {Path(place.path).name}:{place.lineno + 1})"


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    row = getattr(report, ROW, None)
    if row is None:
        return None
    return {
        "PASS": ("passed", ".", ("PASS", {"green": True})),
        "FAIL": ("failed", "F", ("FAIL", {"red": True})),
        "N-A": ("skipped", "-", ("N-A", {"yellow": True})),
        "WAIVED": ("xfailed", "w", ("WAIVED", {"yellow": True})),
        "UNKNOWN": ("error", "?", ("UNKNOWN", {"red": True})),
    }[row["verdict"]]


# --- the run ---


class Controller:
    """pytest's own process, as opposed to xdist's workers: it gathers, and keeps the results."""

    def __init__(self, config: pytest.Config, audit: Audit) -> None:
        self.config = config
        self.audit = audit
        self.revision = provenance.Revision()
        self.started = time.time()
        self.folder = folder(Path(config.option.reports), "audit")
        self.selected: list[Case[Any]] = []
        option = config.option
        if not option.htmlpath:
            option.htmlpath = str(self.folder / "report.html")
            option.self_contained_html = True
        if not option.xmlpath:
            option.xmlpath = str(self.folder / "junit.xml")
        self.recorder: Recorder | None = None

    @property
    def distributed(self) -> bool:
        return self.config.pluginmanager.hasplugin("dsession")

    def pytest_report_header(self) -> str:
        known, audit = self.audit.inventory, self.audit
        names = [c.host.name for c in audit.chosen]
        return (
            f"hale {provenance.version()}: {known.site} inventory {known.path}, "
            f"profile {audit.profile}, {len(names)} of {len(known.hosts)} hosts\n"
            f"reports: {self.folder}"
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if not self.config.option.evidence:
            # Logging in takes longest; it goes on while pytest collects.
            for chosen in self.audit.chosen:
                if not chosen.uri:
                    connection.session_for(chosen.host.name).start()
        # With xdist: before the workers start, so everything that could be selected.
        if self.distributed:
            self._gather(self.audit.cases)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["hale_evidence"] = str(self.folder / "evidence.json")
        node.workerinput["hale_become_password"] = next(
            (t.become_password for t in connection.TARGETS.values()), None
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if self.recorder is None:
            self._begin(ids)

    # Without: exactly what was collected.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if self.distributed:
            return
        cases = [case for item in session.items if (case := _case(item))]
        self._gather(cases)
        self._begin(case.nodeid for case in cases)
        # Tests, cases and evidence stay to the end: no use in looking for garbage among them.
        gc.freeze()

    def _gather(self, cases: Sequence[Case[Any]]) -> None:
        option = self.config.option
        if not option.evidence:
            reporter = self.config.pluginmanager.getplugin("terminalreporter")
            # What the end of the run needs is imported while the hosts answer.
            Thread(target=terminal.get_ready, daemon=True).start()
            with terminal.Progress(reporter, len(self.audit.chosen)) as progress:
                self.audit.gather(cases, progress.told)
        known = self.audit.inventory
        saved = evidence.Saved(
            evidence.SCHEMA,
            str(known.path.resolve()),
            provenance.sha256(known.path),
            self.audit.profile,
            dict(self.audit.hosts),
            {c.host.name: c.uri for c in self.audit.chosen if c.uri},
        )
        evidence.save(saved, self.folder / "evidence.json")

    def _begin(self, collected: Iterable[str]) -> None:
        wanted = set(collected)
        self.selected = selected = [c for c in self.audit.cases if c.nodeid in wanted]
        self.recorder = Recorder(self.folder / "results.json", self._run())
        hosts = [self._host(name, told) for name, told in self.audit.hosts.items()]
        self.recorder.begin(selected, self.audit.possible, hosts)

    def _run(self) -> results.Run:
        audit, option = self.audit, self.config.option
        return results.Run(
            kind="audit",
            state="interrupted",
            operator=provenance.operator(),
            source_host=provenance.source_host(),
            version=provenance.version(),
            git_revision=str(self.revision),
            packages=provenance.packages(),
            python=sys.version.split()[0],
            command_line=["pytest", *self.config.invocation_params.args],
            inventory=str(audit.inventory.path),
            site=audit.inventory.site,
            inventory_sha256=provenance.sha256(audit.inventory.path),
            standard_sha256=audit.standard.sha256,
            overrides_sha256=overrides_sha256(audit),
            profile=audit.profile,
            hosts_expression=option.hale_hosts or "",
            started=results.utc(self.started),
            evidence_from=option.evidence or "",
        )

    def _host(self, name: str, told: Evidence) -> results.HostRecord:
        record = results.HostRecord(
            name,
            address=told.address,
            transport=told.transport,
            login_user=told.login_user,
            host_key=told.host_key,
            read_at=results.utc(told.read_at),
            down=told.down,
        )
        if not told.down:
            identity = self.audit.identity(name)
            record.effective_user = identity.effective_user or ""
            record.machine_id = identity.machine_id or ""
            record.boot_id = identity.boot_id or ""
            record.booted_at = results.utc(identity.boot_time or 0.0)
            record.os = identity.os or ""
            record.kernel = identity.kernel or ""
        return record

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = getattr(report, ROW, None)
        if row is not None and self.recorder is not None:
            self.recorder.record(row)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.recorder is None:
            return
        booted = {
            name: self.audit.identity(name).boot_time or 0.0
            for name, told in self.audit.hosts.items()
            if not told.down
        }
        reasons = incomplete(self.audit, self.selected, self.recorder.unjudged)
        self.recorder.end(int(exitstatus), reasons, booted)

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.recorder is not None:
            terminal.summary(terminalreporter, self.recorder.results, self.folder)
