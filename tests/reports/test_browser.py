"""Pages of recorded runs in Chromium, as a reviewer has them: keys, paper, a phone, dark screens.

axe-core (axe.py) must find no serious fault on any of these screens.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.apply import change_page
from hale.apply.journal import RunState
from hale.audit import results_file
from hale.model.results import EarlierRun, Results
from hale.model.verdict import Verdict
from hale.plan import change_page as plan_page
from hale.plan import plan
from hale.report import html
from hale.report.change import page
from tests.reports import axe, change_runs, factories, reading
from tests.reports.browser import Browser

PAGES = ("audit", "change", "plan")


@pytest.fixture(scope="module")
def recorded_once() -> Results:
    """The recorded run of the lab, with audits before it."""
    found = results_file.load_results(factories.DATA / "results.json")
    found.run.counts = {"FAIL": 24, "UNKNOWN": 30, "PASS": 98}
    before = {"FAIL": 40, "UNKNOWN": 2, "WAIVED": 3, "PASS": 107}
    found.history = [EarlierRun("2026-11-22T162800Z-audit", "2026-11-22T16:28:00.000Z", before)]
    return found


@pytest.fixture(scope="module")
def folder(recorded_once: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three pages: an audit, a fix that partly failed, and a plan before its approval."""
    path = tmp_path_factory.mktemp("pages")
    (path / "audit.html").write_text(html.render(recorded_once))
    before, after = change_runs.audits(recorded_once)
    made = change_runs.a_plan(change_runs.ONE, change_runs.TWO, change_runs.THREE)
    entries = [
        *change_runs.complete(change_runs.ONE, 601),
        *change_runs.refused(change_runs.TWO, 610, "/etc/sysctl.d/zz-old.conf was changed"),
        change_runs.end(RunState.FAILED, 640),
    ]
    run = change_runs.a_run(path, made, entries, before, after)
    (path / "change.html").write_text(page.render(change_page.build(run)))
    saved = path / "plan.json"
    plan.save_plan(made, saved)
    plan_page.save_page(made, saved, before, ("first k8s-master-03, then the workers",))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def axe_core() -> str:
    return axe.source()


@pytest.fixture
def desk(browser: Browser, folder: Path) -> Browser:
    """The audit's page on a desk."""
    browser.show(1280, 800)
    browser.open(folder / "audit.html")
    return browser


@pytest.mark.parametrize("screen", reading.SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_every_screen_can_be_read(
    browser: Browser, folder: Path, axe_core: str, name: str, screen: str
) -> None:
    reading.assert_readable(browser, folder / f"{name}.html", screen, axe_core)


def test_axe_finds_a_fault(desk: Browser, axe_core: str) -> None:
    """A field without a label, and faint text: the page without them has neither fault."""
    desk.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<input><p id=faint>faint words</p>');"
        "const faint = document.getElementById('faint').style;"
        "faint.color = '#ccc'; faint.backgroundColor = '#fff'"
    )
    desk.evaluate(axe_core)
    assert {rule for rule, _ in desk.evaluate(axe.RUN)} == {"label", "color-contrast"}


def test_a_filter_is_typed(desk: Browser, recorded_once: Results) -> None:
    wanted = [
        r
        for r in recorded_once.results
        if any("nofile" in t.lower() for t in (r.requirement, r.title, r.expected, r.actual))
    ]
    shown = f"{len(wanted)} of {len(recorded_once.results)} results"
    assert 0 < len(wanted) < len(recorded_once.results)
    reading.type_filter(desk, "nofile", shown)


def test_all_of_it_is_reached_by_keys(desk: Browser) -> None:
    """From the top: links, filters, the heads that sort, and a row, which Enter opens."""
    desk.evaluate("location.hash = '?verdict=FAIL'")
    desk.evaluate("document.querySelectorAll('.matrix').forEach(each => each.remove())")
    reached = reading.reach_row_by_keys(desk)
    for name in ("verdict", "severity", "host", "chapter", "q", "expand", "clear"):
        assert name in reached, name


@pytest.mark.parametrize("name", PAGES)
def test_paper_holds_all_of_it(
    browser: Browser, folder: Path, recorded_once: Results, tmp_path: Path, name: str
) -> None:
    words = reading.printed(browser, folder / f"{name}.html", tmp_path)
    if name == "audit":
        failed = [r for r in recorded_once.results if r.verdict is Verdict.FAIL]
        texts = [r.requirement for r in failed] + ["Thelast2audits", "Sign-off"]
    else:
        texts = [change_runs.FORWARD, "net.ipv4.ip_forward=1", "/etc/sysctl.d/zz-old.conf"]
    for text in texts:
        assert text in words, text
