"""report.html: nothing from outside becomes markup, and it says what results.json says."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.audit import results_file
from hale.model.results import (
    ConfigLineRecord,
    EvidenceExcerpt,
    HostRecord,
    OverrideRecord,
    Result,
    Results,
    RowKey,
    SiteCheck,
)
from hale.model.verdict import Verdict
from hale.report import html
from hale.report.verdicts import PRESENTATION
from tests.reports import factories

SCRIPT = "<script>document.title='pwned'</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror="document.title=\'pwned\'">',
    "' onmouseover='document.title=1' x='",
    "</script></style></textarea><svg onload=document.title=1>",
    "{{ 7*7 }}{% raw %}${7*7}",
    "\x1b[31mred\x1b[0m\x1b]0;pwned\x07",
    "evil\u202egnp.exe\u2066\u200b",
    "nul\x00, byte \udcff, \u2028 line",
    "&lt;b&gt; &amp;quot; &#60;",
    "javascript:document.title='pwned'",
)
ALL = " ".join(HOSTILE)
TAGS = """
    html head meta title style body h1 h2 h3 p a div table thead tbody tfoot tr th td template
    span button input script section b i em ul li small sup br code pre
    dl dt dd details summary
"""


def hostile(recorded: Results) -> Results:
    """Results in which every text that comes from outside is hostile."""
    text = ALL
    row = Result(
        host=text,
        requirement="SWAP-OFF",
        aspect="runtime",
        verdict=Verdict.FAIL,
        chapter=8,
        title=text,
        subject="swap",
        severity=text,
        profile="document",
        expected=text,
        actual=text,
        test=text,
        overrides=[OverrideRecord(text, [text], {text: text}, text, text)],
        settings=[ConfigLineRecord(text, 3, text, True, 1.0, text)],
        evidence=[EvidenceExcerpt(text, 1, text, text), EvidenceExcerpt(text, None, text, text)],
    )
    values: dict[str, Any] = {
        field.name: text for field in msgspec.structs.fields(HostRecord) if field.type is str
    }
    check = SiteCheck(text, text, text, text, text, 1.0, {text: text})
    down = HostRecord(**values)
    up = HostRecord(**(values | {"down": ""}))
    run = msgspec.structs.replace(
        recorded.run,
        operator=text,
        source_host=text,
        site=text,
        inventory=text,
        git_revision=text,
        command_line=["pytest", *HOSTILE],
        packages={text: text},
        metadata={text: text},
        evidence_from=text,
        incomplete=[text],
        started=text,
        state=text,
    )
    return Results(recorded.schema, run, [down, up], [row], [RowKey(text, text, text)], [check])


class Markup(HTMLParser):
    """What a browser would find: tags with their attributes, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def entries(page: str) -> list[dict[str, Any]]:
    """The rows of the table, in order: id, outcome, the texts of the cells, and the details."""
    found = []
    for attributes, text in re.findall(r"<tbody (.*?)>(.*?)</tbody>", page, re.DOTALL):
        if 'data-outcome="' not in attributes:
            continue
        given = Markup(f"<tbody {attributes}>").tags[0][1]
        row, detail = text.split('<tr class="extras-row hidden">')
        cells = [Markup(cell).text for cell in re.findall(r"<td class=.*?</td>", row, re.DOTALL)]
        found.append(
            {
                "id": given.get("id"),
                "outcome": given["data-outcome"],
                "row": Markup(row).text,
                "cells": cells,
                "detail": detail,
            }
        )
    return found


def readings(page: str) -> dict[str, list[str]]:
    """By its place, what was read: the probe, and what it said."""
    found = re.findall(r'<template id="(reading-\d+)">(.*?)</template>', page, re.DOTALL)
    parts = r"<code>(.*?)</code>.*<pre>\n(.*?)</pre>"  # a browser leaves that newline out
    return {
        place: [unescape(part) for part in re.search(parts, text, re.DOTALL).groups()]  # type: ignore[union-attr]
        for place, text in found
    }


def harmless(markup: Markup, scripts: int) -> None:
    """Only tags that we know, and nothing in them that runs or fetches."""
    assert {tag for tag, _ in markup.tags} <= set(TAGS.split())
    assert sum(tag == "script" for tag, _ in markup.tags) == scripts
    for tag, attributes in markup.tags:
        for name, value in attributes.items():
            if name.startswith("on"):
                raise AssertionError((tag, name, value))
            assert name not in ("src", "data", "action", "poster", "srcset", "style"), (tag, value)
            if name == "href":
                assert (value or "").startswith("#"), (tag, value)
    for character in "\x1b\x00\x07\u202e\u2066\u200b\u2028":
        assert character not in markup.text


FOREIGN = """
import pytest

@pytest.mark.parametrize("x", {values!r})
def test_site(x, extras, record_property):
    extras.append({{"name": x, "content": x, "format_type": "url", "mime_type": None,
                    "extension": None}})
    record_property(x, x)
    print(x)
    raise ValueError(x)
"""


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of hostile results and of a site's own hostile tests."""
    folder = tmp_path_factory.mktemp("nasty")
    (folder / "test_of_the_site.py").write_text(FOREIGN.format(values=list(HOSTILE[:7])))
    (folder / "test_broken.py").write_text(f"raise ValueError({SCRIPT!r})")
    found = hostile(results_file.load_results(factories.DATA / "results.json"))
    with pytest.MonkeyPatch.context() as patch:
        return factories.page(found, folder, patch, "--continue-on-collection-errors")


def test_nothing_hostile_becomes_markup(nasty: str) -> None:
    page = Markup(nasty)
    harmless(page, scripts=1)
    assert len(page.tags) > 300


def test_hostile_text_is_there_to_be_read(nasty: str) -> None:
    seen = Markup(nasty).text
    for text in HOSTILE[:5]:
        assert text in seen
    assert "\\x1b[31mred" in seen
    assert "evil\\u202egnp.exe" in seen
    assert "\\udcff" in seen


def test_what_a_site_adds_has_the_same_columns(nasty: str) -> None:
    (ours, *others) = entries(nasty)
    assert ours["id"]
    assert len(others) == 8
    for entry in others:
        assert entry["id"] is None
        assert len(entry["cells"]) == len(ours["cells"]) == len(html.COLUMNS)
        assert entry["outcome"] in ("failed", "error")


def test_nothing_is_fetched(nasty: str) -> None:
    style = "".join(re.findall(r"<style.*?</style>", nasty, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"<link|<base|<iframe|<meta[^>]*refresh", nasty)


def test_what_a_sites_check_printed_is_in_its_details(nasty: str) -> None:
    for entry in (e for e in entries(nasty)[1:] if e["outcome"] == "failed"):
        detail = Markup(entry["detail"]).text
        assert "Captured stdout call" in detail
        assert "raise ValueError(x)" in detail
        assert " = " in detail  # a property


# --- what it says ---


@pytest.fixture
def shown(recorded: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return factories.page(recorded, tmp_path, monkeypatch)


def test_rows_are_those_of_the_results(recorded: Results, shown: str) -> None:
    told = {e["id"]: e for e in entries(shown)}
    read = readings(shown)
    assert len(told) == len(recorded.results)
    for row in recorded.results:
        entry = told[f"{row.host}/{row.requirement}/{row.aspect}"]
        assert entry["outcome"] == PRESENTATION[row.verdict].category
        text = entry["row"]
        for word in (row.verdict, row.host, row.requirement, row.title, row.expected, row.actual):
            assert word in text
        detail = Markup(entry["detail"]).text
        for setting in row.settings:
            assert f"{setting.path}:{setting.line}" in detail
            assert setting.text in detail
        places = re.findall(r'data-reading="([^"]+)"', entry["detail"])
        assert [read[place] for place in places] == [
            [reading.probe, reading.output or "(empty)"] for reading in row.evidence
        ]


def test_red_rows_come_first(shown: str) -> None:
    order = [e["outcome"] for e in entries(shown)]
    assert order == sorted(order, key=["failed", "error", "xfailed", "passed", "skipped"].index)


def test_every_cell_of_the_matrix_has_its_sign_and_leads_to_its_row(
    recorded: Results, shown: str
) -> None:
    links = re.findall(r'<a class="([\w-]+)" href="#([^"]+)" title="[^"]*">(.)', shown)
    assert len(links) == len(recorded.results)
    ids = {e["id"]: e["outcome"] for e in entries(shown)}
    for name, anchor, sign in links:
        assert ids[anchor] == PRESENTATION[Verdict(name)].category
        assert sign == {"PASS": "✓", "FAIL": "✗", "UNKNOWN": "?", "N-A": "-"}[name]


def test_unknown_is_not_shown_as_passed(recorded: Results, shown: str) -> None:
    unknown = [e for e in entries(shown) if e["outcome"] == "error"]
    assert unknown
    for entry in unknown:
        assert "? UNKNOWN" in entry["row"]
    only = msgspec.structs.replace(
        recorded, results=[r for r in recorded.results if r.verdict in ("PASS", "UNKNOWN")]
    )
    assert html.verdict(only) == "not proven"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({}, []),
        ({"incomplete": ["hosts left out: a"]}, ["INCOMPLETE", "hosts left out: a"]),
        ({"state": "interrupted"}, ["INTERRUPTED"]),
        ({"evidence_from": "x.json"}, ["SAVED EVIDENCE", "x.json"]),
    ],
)
def test_what_must_not_be_overlooked(
    recorded: Results, run: dict[str, Any], words: list[str]
) -> None:
    found = msgspec.structs.replace(recorded, run=msgspec.structs.replace(recorded.run, **run))
    page = html.render(found)
    text = Markup(page).text
    (title,) = re.findall(r"<title>(.*)</title>", page)
    for word in ("INCOMPLETE", "INTERRUPTED", "SAVED EVIDENCE", *words):
        assert (word in text) == (word in words)
        if word in ("INCOMPLETE", "INTERRUPTED"):
            assert (word in title) == (word in words)


def test_no_green_word_for_a_run_that_lacks_something(recorded: Results) -> None:
    passed = [r for r in recorded.results if r.verdict is Verdict.PASS]
    of_good = msgspec.structs.replace(recorded.run, exit_status=0)
    good = msgspec.structs.replace(recorded, results=passed, run=of_good)
    assert html.verdict(good) == "compliant"
    assert 'class="banner good"' in html.render(good)
    for change in ({"incomplete": ["x"]}, {"state": "interrupted"}):
        run = msgspec.structs.replace(of_good, **change)
        assert html.verdict(msgspec.structs.replace(good, run=run)) != "compliant"
    words = ("exit status 1", "1 other test failed", "2 other tests failed")
    for others, expected in enumerate(words):
        run = msgspec.structs.replace(of_good, exit_status=1, other_tests_failed=others)
        other = msgspec.structs.replace(good, run=run)
        assert html.verdict(other) == expected
        assert 'class="banner bad"' in html.render(other)
    nothing = msgspec.structs.replace(recorded, results=[])
    assert html.verdict(nothing) == "nothing was judged"
    assert 'class="banner bad"' in html.render(nothing)


def test_identity_of_run_and_hosts(recorded: Results, shown: str) -> None:
    text = Markup(shown).text
    run = recorded.run
    for word in (run.operator, run.source_host, run.git_revision, run.site, run.inventory_sha256):
        assert word in text
    for word in (run.standard_sha256, run.overrides_sha256, "--hosts=all", *run.packages.values()):
        assert word in text
    for host in recorded.hosts:
        for word in (host.address, host.host_key, host.machine_id, host.boot_id, host.os):
            assert word in text


def test_overrides_are_shown_as_overrides(recorded: Results) -> None:
    (one,) = html.overrides(recorded)
    assert one.requirement == "OS-RELEASE"
    assert one.hosts == "k8s-master-[01-03], k8s-node-[01,02]"
    text = Markup(html.render(recorded)).text
    assert "CentOS Stream 8" in text
    assert "Debian GNU/Linux 12" in text


# --- from the command line ---


def test_the_page_of_a_run_is_made_of_its_results(whole: factories.Audited) -> None:
    page = whole.text("report.html")
    assert len(entries(page)) == len(whole.results.results)
    harmless(Markup(page), scripts=1)
    assert "SAVED EVIDENCE" in page


def test_with_xdist_it_is_the_same(
    whole: factories.Audited, distributed: factories.Audited
) -> None:
    def rows(page: str) -> list[Any]:
        told = entries(page)
        for entry in told:
            entry["detail"] = re.sub(r"[\d.]+ ms", "", entry["detail"])
        return told

    one, other = distributed.text("report.html"), whole.text("report.html")
    assert rows(one) == rows(other)
    assert readings(one) == readings(other)


def test_what_many_rows_rest_on_stands_there_once(recorded: Results, shown: str) -> None:
    every = [reading for row in recorded.results for reading in row.evidence]
    assert len(readings(shown)) == len(set(every)) < len(every)


# --- in a browser ---

PROBE = """
<script>
const said = [];
const rows = () => [...document.querySelectorAll('#results-table > tbody')];
const open = () => rows().filter(r => r.querySelector('.extras-row:not(.hidden)'));
const column = (name) => rows().map(r => r.querySelector('.col-' + name)?.textContent.trim());
said.push(['title', document.title]);
said.push(['rows', rows().length]);
said.push(['open', open().length]);
// Where a hand would click: on the words, not on the cell around them.
const words = rows()[0].querySelector('.col-actual span') ?? rows()[0].querySelector('td');
words.scrollIntoView({block: 'center'});
const box = words.getBoundingClientRect();
document.elementFromPoint(box.x + box.width / 2, box.y + 4).click();
said.push(['opened', open().length]);
document.querySelector('.matrix a[href]').click();
said.push(['hash', document.getElementById(decodeURIComponent(location.hash.slice(1))) !== null]);
document.querySelector('th[data-column-type="host"]').click();
said.push(['hosts', column('host')]);
document.querySelector('input[data-test-result="failed"]').click();
said.push(['left', rows().length]);
document.getElementById('show_all_details').click();
said.push(['all', open().length]);
setTimeout(() => {
  said.push(['title at last', document.title]);
  said.push(['read', Object.fromEntries(rows().map(
    r => [r.id, [...r.querySelectorAll('.detail details')].map(
      d => [d.querySelector('code').textContent, d.querySelector('pre').textContent])]))]);
  document.body.textContent = '';
  const pre = document.createElement('pre');
  pre.id = 'said';
  pre.textContent = JSON.stringify(said);
  document.body.appendChild(pre);
}, 300);
</script>
"""


def browse(page: str, folder: Path) -> dict[str, Any]:
    """What a browser makes of the page, with the clicks of PROBE."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium here")
    path = folder / "probe.html"
    script = PROBE.strip().removeprefix("<script>").removesuffix("</script>")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = page.replace("script-src ", f"script-src 'sha256-{allowed}' ".replace("'", "&#39;"))
    path.write_text(page.replace("</body>", f"{PROBE}</body>"))
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    ran = subprocess.run(
        [chromium, "--headless", "--no-sandbox", *quiet, "--disable-component-update",
         "--disable-sync", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000",
         "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    texts = Markup(ran.stdout).text
    return dict(json.loads(texts[texts.index("[[") :]))


def test_a_browser_runs_nothing_hostile(nasty: str, tmp_path: Path) -> None:
    said = browse(nasty, tmp_path)
    assert said["title"] == said["title at last"]
    assert said["title"].startswith("Hale audit")
    assert said["rows"] == 9  # one of ours, eight of the site


def test_a_browser_runs_no_script_but_the_pages_own(shown: str, tmp_path: Path) -> None:
    """Should a text ever become markup, the page's Content-Security-Policy is what holds."""
    script = "<script>document.title = 'in';</script>"
    handler = "<svg onload=\"document.title = 'in'\"></svg><a id=x style='color:red'></a>"
    said = browse(shown.replace("<h1>", f"{script}{handler}<h1>"), tmp_path)
    assert said["title at last"].startswith("Hale audit")
    freed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", shown)
    said = browse(freed.replace("<h1>", f"{script}{handler}<h1>"), tmp_path)
    assert said["title at last"] == "in", "the policy is what stops it"


def test_rows_open_sort_and_filter(recorded: Results, shown: str, tmp_path: Path) -> None:
    said = browse(shown, tmp_path)
    assert said["rows"] == len(recorded.results)
    assert said["open"] == 0
    assert said["opened"] == 1
    assert said["hash"] is True
    assert said["hosts"] == sorted(said["hosts"])
    failed = sum(r.verdict is Verdict.FAIL for r in recorded.results)
    assert said["left"] == said["all"] == len(recorded.results) - failed
    # What each row that is left rests on is in it.
    assert said["read"] == {
        html.row_id(row): [[reading.probe, reading.output or "(empty)"] for reading in row.evidence]
        for row in recorded.results
        if row.verdict is not Verdict.FAIL
    }
