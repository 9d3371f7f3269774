"""Pages of recorded runs in Chromium, as a reviewer has them: keys, paper, a phone, dark screens.

axe-core (axe.py) must find no serious fault on any of these screens.
"""

import re
import subprocess
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
from tests.reports import axe, change_runs, factories
from tests.reports.browser import Browser

PAGES = ("audit", "change", "plan")
#: Width, height, whether it is a telephone, and the scheme.
SCREENS = {
    "desk": (1280, 800, False, "light"),
    "dark": (1280, 800, False, "dark"),
    "phone": (360, 740, True, "light"),
}
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
# What has the focus, and whether the reader sees that.
FOCUS = """(() => { const at = document.activeElement; const style = getComputedStyle(at);
  return [at.tagName, at.name || at.id || at.textContent.trim().slice(0, 40),
    at.closest('tbody')?.id || '',
    style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0]; })()"""


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


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_every_screen_can_be_read(
    browser: Browser, folder: Path, axe_core: str, name: str, screen: str
) -> None:
    width, height, mobile, scheme = SCREENS[screen]
    browser.show(width, height, mobile=mobile, scheme=scheme)
    browser.open(folder / f"{name}.html", "#?verdict=FAIL")
    browser.evaluate(OPEN_ALL)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (scheme == "dark")
    browser.evaluate(axe_core)
    assert browser.evaluate(axe.RUN) == []


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
    for key in "/nofile":
        desk.press(key)
    count = "document.getElementById('count').textContent"
    wanted = [
        r
        for r in recorded_once.results
        if any("nofile" in t.lower() for t in (r.requirement, r.title, r.expected, r.actual))
    ]
    shown = f"{len(wanted)} of {len(recorded_once.results)} results"
    assert 0 < len(wanted) < len(recorded_once.results)
    # On a busy machine the page filters after each key.
    desk.evaluate(
        f"new Promise(done => {{ const look = () => {count} === '{shown}' && "
        "location.hash === '#?q=nofile' ? done() : requestAnimationFrame(look); look(); })"
    )


def test_all_of_it_is_reached_by_keys(desk: Browser) -> None:
    """From the top: links, filters, the heads that sort, and a row, which Enter opens."""
    desk.evaluate("location.hash = '?verdict=FAIL'")
    desk.evaluate("document.querySelectorAll('.matrix').forEach(each => each.remove())")
    reached, row = [], ""
    for _ in range(400):
        desk.press("Tab")
        tag, name, row, outlined = desk.evaluate(FOCUS)
        assert outlined, f"{tag} {name} has the focus, and does not show it"
        reached.append(name)
        if tag == "BUTTON" and row:
            break
    for name in ("verdict", "severity", "host", "chapter", "q", "expand", "clear"):
        assert name in reached, name
    extra = f"document.getElementById({row!r}).querySelectorAll('.extra').length"
    assert desk.evaluate(extra) == 0
    desk.press("Enter")
    assert desk.evaluate(extra) == 1
    desk.press(" ")
    assert desk.evaluate(extra) == 0


@pytest.mark.parametrize("name", PAGES)
def test_paper_holds_all_of_it(
    browser: Browser, folder: Path, recorded_once: Results, tmp_path: Path, name: str
) -> None:
    browser.show(1280, 800, scheme="dark")
    browser.open(folder / f"{name}.html")
    path = tmp_path / "page.pdf"
    path.write_bytes(browser.pdf())
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", path.read_bytes())
    assert box
    assert [round(float(n)) for n in box.groups()] == [842, 595], "A4, landscape"
    try:
        printed = subprocess.run(
            ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("no pdftotext here")
    words = "".join(printed.split())
    if name == "audit":
        failed = [r for r in recorded_once.results if r.verdict is Verdict.FAIL]
        texts = [r.requirement for r in failed] + ["Thelast2audits", "Sign-off"]
    else:
        texts = [change_runs.FORWARD, "net.ipv4.ip_forward=1", "/etc/sysctl.d/zz-old.conf"]
    for text in texts:
        assert text in words, text
