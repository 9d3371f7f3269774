"""report.html in Chromium: rows, filters, the address, the keyboard, paper, narrow and dark."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from hale.model.results import Guidance, ReferenceRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report import html
from tests.reports import pages
from tests.reports.pages import browse
from tests.reports.test_html import hostile

ROWS = """
const rows = () => [...document.querySelectorAll('#results-table > tbody')];
const shown = () => rows().map(row => row.id);
const open = () => rows().filter(row => row.querySelector('.extra'));
const box = (value) => document.querySelector(`#filters input[value="${value}"]`);
const type = async (name, text) => {
  const field = document.getElementById('filters').elements[name];
  field.value = text;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  await wait(200);
};
const count = () => document.getElementById('count').textContent;
"""


@pytest.fixture
def shown(recorded: Results) -> str:
    return html.render(recorded)


def ids(rows: Iterable[Any]) -> list[str]:
    return [html.row_id(row) for row in rows]


def test_a_browser_runs_nothing_hostile(recorded: Results, tmp_path: Path) -> None:
    page = html.render(hostile(recorded))
    script = """note('title', document.title); note('rows', rows().length);
    document.getElementById('expand').click(); note('open', open().length);
    document.querySelectorAll('details').forEach(each => { each.open = true; });
    await wait(300); note('title at last', document.title);
    note('images', document.images.length); note('scripts', document.scripts.length);"""
    found = browse(page, tmp_path, ROWS + script)
    assert found["title"] == found["title at last"]
    assert found["title"].startswith("Hale audit")
    assert found["rows"] == found["open"] == 2  # one of ours, one of the site
    assert found["images"] == 0
    assert found["scripts"] == 3  # the data, the page's and this one


def test_a_browser_runs_no_script_but_the_pages_own(shown: str, tmp_path: Path) -> None:
    """Should a text ever become markup, the page's Content-Security-Policy is what holds."""
    script = "<script>document.title = 'in';</script>"
    handler = "<svg onload=\"document.title = 'in'\"></svg><a id=x style='color:red'></a>"
    note = "await wait(300); note('title', document.title);"
    found = browse(shown.replace("<h1>", f"{script}{handler}<h1>"), tmp_path, note)
    assert found["title"].startswith("Hale audit")
    freed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", shown)
    found = browse(freed.replace("<h1>", f"{script}{handler}<h1>"), tmp_path, note)
    assert found["title"] == "in", "the policy is what stops it"


def test_rows_open_sort_and_filter(recorded: Results, shown: str, tmp_path: Path) -> None:
    script = """
    note('drawn', rows().length); note('count', count()); note('open', open().length);
    // Where a hand would click: on the words, not on the cell around them.
    const words = rows()[0].querySelector('.col-actual');
    words.scrollIntoView({block: 'center'});
    const area = words.getBoundingClientRect();
    document.elementFromPoint(area.x + 10, area.y + 10).click();
    note('opened', open().length);
    document.querySelector('.matrix a[href]').click(); await wait(50);
    note('linked', open().map(row => row.id).at(-1)); note('link', location.hash);
    document.querySelector('[data-column="host"]').click();
    note('hosts', rows().map(row => row.querySelector('.col-host').textContent));
    note('sorted', location.hash);
    document.querySelector('#clear').click(); await wait(50);
    box('FAIL').click(); await wait(50);
    note('failed', shown()); note('address', location.hash);
    document.getElementById('expand').click();
    note('read', Object.fromEntries(rows().map(r => [r.id,
      [...r.querySelectorAll('.detail > .probe')].map(
        p => [p.querySelector('code').textContent, p.nextSibling.textContent])])));
    """
    found = browse(shown, tmp_path, ROWS + script)
    assert found["drawn"] == 100 < len(recorded.results)
    assert found["count"] == f"{len(recorded.results)} of {len(recorded.results)} results"
    assert (found["open"], found["opened"]) == (0, 1)
    assert found["linked"] in found["link"]
    assert found["hosts"] == sorted(found["hosts"])
    assert "sort=host" in found["sorted"]
    failed = [r for r in recorded.results if r.verdict is Verdict.FAIL]
    assert sorted(found["failed"]) == sorted(ids(failed))
    assert found["address"] == "#?verdict=FAIL"
    assert found["read"] == {
        html.row_id(row): [[e.probe, e.output or "(empty)"] for e in row.evidence] for row in failed
    }


def test_the_address_holds_the_filters(recorded: Results, shown: str, tmp_path: Path) -> None:
    wanted = [
        r
        for r in recorded.results
        if r.verdict is Verdict.UNKNOWN
        and r.severity == "critical"
        and r.chapter == 9
        and "node" in r.host
        and "ip_forward" in r.expected
    ]
    assert wanted
    row = html.row_id(wanted[-1])
    fragment = f"#?verdict=UNKNOWN&severity=critical&host=node&chapter=9&q=IP_FORWARD+sys&row={row}"
    script = (
        "note('shown', shown()); note('open', open().map(r => r.id)); note('at', location.hash)"
    )
    found = browse(shown, tmp_path, ROWS + script, fragment)
    assert sorted(found["shown"]) == sorted(ids(wanted))
    assert found["open"] == [row]
    again = browse(shown, tmp_path, ROWS + script, found["at"])
    assert again == found


FILTERS: dict[str, Callable[[Result], bool]] = {
    "verdict=FAIL,UNKNOWN": lambda r: r.verdict.failed,
    "severity=major": lambda r: r.severity == "major",
    "host=NODE": lambda r: "node" in r.host,
    "chapter=9": lambda r: r.chapter == 9,
    "q=sysctl.d": lambda r: "sysctl.d" in f"{r.expected} {r.actual}",
    "": lambda r: True,
}


def test_each_filter_leaves_its_rows(recorded: Results, shown: str, tmp_path: Path) -> None:
    script = f"""for (const words of {json.dumps(list(FILTERS))}) {{
      location.hash = '?' + words; await wait(100); note(words, count());
    }}"""
    found = browse(shown, tmp_path, ROWS + script)
    every = len(recorded.results)
    wanted = {words: sum(map(leaves, recorded.results)) for words, leaves in FILTERS.items()}
    assert all(0 < count < every for words, count in wanted.items() if words)
    assert found == {words: f"{count} of {every} results" for words, count in wanted.items()}


def test_text_is_searched_in_all_words(recorded: Results, shown: str, tmp_path: Path) -> None:
    script = "await type('q', 'nofile SOFT'); note('shown', shown()); note('at', location.hash);"
    script += "await type('q', 'no such words'); note('none', rows().length);"
    script += "note('nothing', document.getElementById('nothing').className);"
    found = browse(shown, tmp_path, ROWS + script)
    wanted = [
        r
        for r in recorded.results
        if all(
            any(w in t.lower() for t in (r.requirement, r.title, r.expected, r.actual))
            for w in ("nofile", "soft")
        )
    ]
    assert sorted(found["shown"]) == sorted(ids(wanted)) != []
    assert found["at"] == "#?q=nofile+SOFT"
    assert (found["none"], found["nothing"]) == (0, "")


def test_a_rule_of_another_benchmark_finds_its_results(recorded: Results, tmp_path: Path) -> None:
    name = recorded.results[0].requirement
    recorded.references = [ReferenceRecord(name, "Bench of All", "3.3.1", "Off", "partial")]
    script = """await type('q', 'bench 3.3.1'); note('shown', shown());
    document.getElementById('expand').click();
    const listed = row => row.querySelector('.detail').textContent.includes('All 3.3.1 (partial)');
    note('listed', rows().filter(listed).length);
    """
    found = browse(html.render(recorded), tmp_path, ROWS + script)
    wanted = [row for row in recorded.results if row.requirement == name]
    assert sorted(found["shown"]) == sorted(ids(wanted))
    assert found["listed"] == len(wanted) < len(recorded.results)


def test_it_is_read_without_a_mouse(shown: str, tmp_path: Path) -> None:
    """All that can be clicked takes the focus, and says what it does."""
    script = """
    document.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true}));
    note('slash', document.activeElement.name);
    const button = rows()[0].querySelector('button');
    button.focus(); note('focus', document.activeElement === button);
    button.click(); note('expanded', button.getAttribute('aria-expanded'));
    note('unlabelled', [...document.querySelectorAll('input, select')].filter(
      each => !each.closest('label')).length);
    note('nameless', [...document.querySelectorAll('button, a')].filter(
      each => !each.textContent.trim()).length);
    note('scrolls', [...document.querySelectorAll('.scroll')].filter(
      each => each.tabIndex < 0 && !each.querySelector('a')).length);
    document.querySelector('[data-column="verdict"]').click();
    note('sort', document.querySelector('th.col-verdict').getAttribute('aria-sort'));
    note('lang', document.documentElement.lang);
    """
    found = browse(shown, tmp_path, ROWS + script)
    assert found == {
        "slash": "q", "focus": True, "expanded": "true", "unlabelled": 0, "nameless": 0,
        "scrolls": 0, "sort": "ascending", "lang": "en",
    }  # fmt: skip


@pytest.mark.parametrize("width", [360, 1400])
def test_no_width_scrolls_sideways(shown: str, tmp_path: Path, width: int) -> None:
    script = """
    note('wide', document.documentElement.scrollWidth - innerWidth);
    """
    found = browse(shown, tmp_path, ROWS + script, "", f"--window-size={width},900")
    assert found["wide"] <= 0


def test_dark_and_light_are_the_readers_choice(shown: str, tmp_path: Path) -> None:
    script = "note('paper', getComputedStyle(document.body).backgroundColor);"
    light = browse(shown, tmp_path, script)
    dark = browse(shown, tmp_path, script, "", "--blink-settings=preferredColorScheme=0")
    assert light["paper"] == "rgb(255, 255, 255)"
    assert dark["paper"] == "rgb(13, 17, 23)"


def test_paper_has_the_causes_and_their_evidence(recorded: Results, tmp_path: Path) -> None:
    """A4 landscape; what is folded on the screen is on paper, and passed rows are one line each."""
    why = "Because it matters to nobody but this test."
    failed = [r for r in recorded.results if r.verdict is Verdict.FAIL]
    recorded.guidance = [Guidance(failed[0].requirement, why, "Type `this by hand`.")]
    path = tmp_path / "page.html"
    path.write_text(html.render(recorded))
    subprocess.run(
        [pages.chromium(), *pages.QUIET, f"--user-data-dir={tmp_path / 'profile'}",
         f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", path.as_uri()],
        capture_output=True, timeout=100, check=True,
    )  # fmt: skip
    try:
        printed = subprocess.run(
            ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no pdftotext here")
    words = "".join(printed.split())
    for text in (why, "this by hand", "Sign-off", "approved by", "not reached"):
        assert "".join(text.split()) in words, text
    first = next(r for r in failed if r.evidence)
    assert "".join(first.evidence[0].output.split())[:200] in words
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "page.pdf").read_bytes())
    assert box
    assert [round(float(n)) for n in box.groups()] == [842, 595]


def test_without_a_script_everything_that_matters_is_there(recorded: Results) -> None:
    """Read as a browser without JavaScript shows it: every cause, host, gap and exception."""
    text = pages.Markup(html.render(recorded)).text
    for row in recorded.results:
        assert row.requirement in text
        if row.verdict is Verdict.FAIL:
            assert re.split(r"\d+ ms", row.actual)[0] in text
            assert row.expected in text
    for host in recorded.hosts:
        assert host.name in text
        assert host.down.removeprefix(f"{host.name}: ") in text
    assert "needs JavaScript" in text
