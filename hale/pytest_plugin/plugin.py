"""The pytest plugin: `pytest --hosts=…` becomes an audit.

`--hosts` is testinfra's option. Its value is resolved through the inventory here, so testinfra's
`host` fixture, for a site's own checks, uses the selected hosts over Hale's sessions. Hale's checks
never contact a host: their fixtures parse evidence.
"""

from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.audit import evidence_file
from hale.audit.audit import Audit
from hale.audit.judge import CHECKS, JudgedCase
from hale.model import results
from hale.model.errors import UserError
from hale.model.evidence import Fact, Unreadable
from hale.model.requirement import Aspect, Case, Profile, Requirement, Role, Severity
from hale.model.results import ROW, Result
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.pytest_plugin import config as audit_config
from hale.pytest_plugin.options import contacts_hosts
from hale.pytest_plugin.reports import log_of
from hale.pytest_plugin.run import AuditRun, callspec_params, case_of
from hale.report.matrix import failure_block
from hale.report.verdicts import PRESENTATION
from hale.standard import loader
from hale.standard.subjects import RENAMED

pytest_plugins = ["hale.pytest_plugin.options"]  # if pytest.ini was not read

AUDIT = pytest.StashKey[Audit]()
RUN = pytest.StashKey[AuditRun]()
JUDGED = pytest.StashKey[JudgedCase]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    option = config.option
    resolved: audit_config.AuditConfig | None = None
    try:
        if getattr(option, "hosts", None) is not None or option.evidence is not None:
            if config.rootpath.resolve() != ROOT.resolve():
                raise UserError(f"pytest took {config.rootpath} for the project: run it in {ROOT}.")
            audit_config.require_plugins(config)
            resolved = audit_config.resolve_config(config, worker)
            # Logging in takes longest, so it runs while modules are imported and tests collected.
            if worker is None and contacts_hosts(option):
                names = [c.host.name for c in resolved.selected_hosts if not c.uri]
                resolved.sessions.start(names)
        standard = loader.load_standard(ROOT / "standard")
        for name, text in _markers(standard):
            config.addinivalue_line("markers", f"{name}: {text}")
        if resolved is None:
            return
        audit = audit_config.build_audit(config, resolved, standard)
        if worker is None and not config.option.collectonly:
            config.stash[RUN] = AuditRun(config, audit, resolved.sessions, resolved.accepted)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[AUDIT] = audit
    config.pluginmanager.register(_subject_fixtures(audit), "hale-subjects")
    if worker is not None:
        audit.hosts = evidence_file.load_evidence(Path(worker["hale_evidence"])).hosts
    elif audit_run := config.stash.get(RUN, None):
        config.pluginmanager.register(audit_run.reports, "hale-reports")
        config.pluginmanager.register(audit_run, "hale-controller")


def pytest_unconfigure(config: pytest.Config) -> None:
    if audit_run := config.stash.get(RUN, None):
        audit_run.discard_nothing()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    config = session.config
    if config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR:
        config.args = [str(CHECKS)]  # started in a folder below the top of the tree
    if AUDIT in config.stash:
        return
    for argument in config.args:
        path = Path(argument.partition("::")[0]).resolve()
        if path == CHECKS or CHECKS in path.parents or path in CHECKS.parents:
            raise pytest.UsageError(audit_config.usage_hint(config))


# --- test items: one per case ---


def _markers(standard: loader.Standard) -> list[tuple[str, str]]:
    chapters = sorted({r.chapter for r in standard.requirements})
    subjects = sorted({r.subject for r in standard.requirements})
    return [
        *((f"chapter{number}", f"chapter {number} of the baseline") for number in chapters),
        *((subject, f"checks/test_{subject}.py") for subject in subjects),
        *((old, f"now called {new}") for old, new in RENAMED.items() if old not in tuple(Role)),
        *((role, "role: the hosts that a requirement concerns") for role in Role),
        *((aspect, "aspect") for aspect in Aspect),
        *((severity, "severity") for severity in Severity),
        *((profile, "profile") for profile in Profile),
    ]


def _markers_of(requirement: Requirement, aspect: str) -> list[pytest.MarkDecorator]:
    names = {
        f"chapter{requirement.chapter}": None,
        requirement.subject: None,
        requirement.role: None,
        aspect: None,
        requirement.severity: None,
        requirement.profile: None,
        **{old: None for old, new in RENAMED.items() if new == requirement.subject},
    }
    return [_mark(str(name)) for name in names]  # xdist sends no enums


@cache  # pytest searches all known markers
def _mark(name: str) -> pytest.MarkDecorator:
    found: pytest.MarkDecorator = getattr(pytest.mark, name)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    audit = metafunc.config.stash.get(AUDIT, None)
    if audit is None or "case" not in metafunc.fixturenames:
        return
    if Path(metafunc.module.__file__ or "").resolve().parent != CHECKS:
        return  # a test of the site's own that happens to have such a name
    subject = metafunc.module.__name__.rpartition(".")[2].removeprefix("test_")
    aspect = metafunc.function.__name__.removeprefix("test_")
    marks: dict[str, list[pytest.MarkDecorator]] = {}
    params = []
    for case in audit.cases_by_check.get((subject, aspect), ()):
        requirement = case.requirement
        if requirement.id not in marks:
            marks[requirement.id] = _markers_of(requirement, aspect)
        name = f"{case.host_name}-{requirement.id}"
        params.append(pytest.param(case, marks=marks[requirement.id], id=name))
    # No case here (another profile or role): removed below.
    metafunc.parametrize("case", params or [pytest.param(None, id="nothing")])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if callspec_params(item).get("case", item) is not None]
    if config.option.evidence:
        for item in items:
            if "_testinfra_host" in callspec_params(item):
                item.add_marker(pytest.mark.skip("needs a host, and --evidence contacts none"))


@pytest.fixture
def requirement(case: Case[Any]) -> Requirement:
    """The requirement that this test judges, from the baseline."""
    return case.requirement


@pytest.fixture
def parameters(case: Case[Any], pytestconfig: pytest.Config) -> Any:
    """The requirement's values for this host and its versions, overrides applied: the subject's
    Parameters."""
    return pytestconfig.stash[AUDIT].judge(case).case.parameters


def _subject_fixtures(audit: Audit) -> object:
    """A plugin with one fixture per subject, named after it: the fact of the test's aspect."""

    def make(subject: str) -> Any:
        # No `request` parameter: pytest would create one for every fixture of every test.
        def read(self: object, case: Case[Any]) -> Fact | None:
            return audit.judge(case).fact

        read.__doc__ = f"The host's state, as facts/{subject}.py reads it; None if unknown."
        return pytest.fixture(name=subject)(read)

    names = [path.stem.removeprefix("test_") for path in sorted(CHECKS.glob("test_*.py"))]
    return type("SubjectFixtures", (), {f"read_{name}": make(name) for name in names})()


# --- verdicts ---


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Let the judge call the check. An error in the code is raised, so that pytest shows where.

    With --pdb the judge's AssertionError or Unreadable is raised too: pytest then stops there.
    """
    case = case_of(pyfuncitem)
    if case is None:
        return None
    judged = pyfuncitem.config.stash[AUDIT].judge(case)
    pyfuncitem.stash[JUDGED] = judged
    error = judged.error
    shown = pyfuncitem.config.option.usepdb or not _states_reason(judged)
    if judged.result.verdict.failed and isinstance(error, Exception) and shown:
        raise error
    return True


def _states_reason(judged: JudgedCase) -> bool:
    """Whether the result says all about its error: a FAIL, or a fact that could not be read."""
    return judged.result.verdict is Verdict.FAIL or isinstance(judged.error, Unreadable)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    case = case_of(item)
    if case is None:
        return report
    row = _row(item, case, report, call)
    setattr(report, ROW, row)
    if row is None:
        return report
    vars(report).pop("wasxfail", None)  # a mark on the file would count a FAIL as expected
    if row.verdict is Verdict.NOT_APPLICABLE:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, row.actual)
    elif row.waiver is not None:  # as pytest's xfail, which its other plugins know
        report.outcome = "skipped"
        report.wasxfail = f"reason: {row.waiver.reason} ({row.waiver.ticket})"
        report.longrepr = (str(item.path), item.location[1] or 0, row.actual)
    elif row.verdict.failed:
        report.outcome = "failed"
        judged = item.stash.get(JUDGED, None)
        stated = judged is not None and report.when == "call" and _states_reason(judged)
        if call.excinfo is None or stated:
            report.longrepr = failure_block(row)
    if row.verdict in (Verdict.NOT_APPLICABLE, Verdict.UNKNOWN) and report.when == "call":
        report.when = "setup"  # pytest reports it as an error, not as a failure
    row.log = log_of(report, row)
    return report


def _row(
    item: pytest.Item, case: Case[Any], report: pytest.TestReport, call: pytest.CallInfo[None]
) -> Result | None:
    """The result that this phase of the test determines; None for a passed setup or teardown."""
    judged = item.stash.get(JUDGED, None)
    if report.when == "call" and judged is not None:
        return judged.result
    if report.passed:
        return None
    if report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        reason = f"{item.name}: the check was switched off: {why}"
    else:  # an error of a site's fixture, or an exception that ends the test
        assert call.excinfo is not None
        error, place = call.excinfo.value, call.excinfo.traceback[-1]
        reason = f"{type(error).__name__}: {error} (at {Path(place.path).name}:{place.lineno + 1})"
    return results.unjudged(case, Verdict.UNKNOWN, reason)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(
    report: Any,
) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    data = yield
    if data is not None and ROW in data:
        data[ROW] = msgspec.to_builtins(data[ROW])
    return data


@pytest.hookimpl(wrapper=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> Generator[None, Any, Any]:
    report = yield
    if ROW in data:
        setattr(report, ROW, msgspec.convert(data[ROW], Result | None))
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    row: Result | None = getattr(report, ROW, None)
    if row is None:
        return None
    shown = PRESENTATION[row.verdict]
    return shown.category, shown.letter, (row.verdict.value, {shown.markup: True})
