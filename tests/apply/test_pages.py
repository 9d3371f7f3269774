"""The pages of a fix on real hosts, read in Chromium as the reviewer of its change reads them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.audit import results_file
from hale.model.verdict import Verdict
from hale.plan import plan
from tests.apply.compliant_lab import Ready
from tests.apply.invoke_cli import Operator
from tests.reports import axe, pages, reading
from tests.reports.browser import Browser

pytestmark = pytest.mark.lab

FORWARD, SWAP = "k8s-node-01", "k8s-node-02"
#: What breaks a row of each host, and what takes that off again.
FAULTS = {
    FORWARD: (
        "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/zz-site.conf",
        "rm /etc/sysctl.d/zz-site.conf",
    ),
    SWAP: ("echo '/dev/sdb1 none swap sw 0 0' >>/etc/fstab", "sed -i /sdb1/d /etc/fstab"),
}
ONLY = "--only=SYS-IP-FORWARD,SWAP-OFF"
AUDITS, CHANGES = ("before", "after"), ("plan", "change", "undo")


@dataclass
class FixedHosts:
    """The pages of a plan, of its run with both audits, and of its undo, by name."""

    page: dict[str, Path]

    def results(self, name: str) -> Path:
        """The results that an audit's page was made from."""
        return self.page[name].with_name("results.json")


@pytest.fixture(scope="module")
def fixed(ready: Ready, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixedHosts]:
    """Two hosts with a fault each, planned, fixed as planned, and taken back."""
    folder = tmp_path_factory.mktemp("pages")
    operator = Operator(ready, folder / "reports")
    for name, (fault, _) in FAULTS.items():
        ready.lab[name].run(fault)
    try:
        saved = folder / "fix.json"
        done(operator, "fix", ONLY, f"--out={saved}")
        done(operator, "fix", "--apply", f"--plan={saved}", "--yes", "--ticket=CHG-8")
        run = operator.last
        done(operator, "undo", run.name, "--yes")
        yield FixedHosts(
            {
                "plan": saved.with_suffix(".html"),
                "before": run / "before" / "report.html",
                "after": run / "after" / "report.html",
                "change": run / "change.html",
                "undo": operator.last / "change.html",
            }
        )
    finally:
        for name, (_, mend) in FAULTS.items():
            ready.lab[name].run(mend)
        for host in ready.lab.hosts:
            host.run("rm -rf /var/lib/hale")


def done(operator: Operator, *words: str) -> None:
    """Type it; it must succeed."""
    status, output = operator.type(*words)
    assert status == 0, output


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.mark.parametrize("name", [*AUDITS, *CHANGES])
def test_every_screen_can_be_read(
    browser: Browser, fixed: FixedHosts, name: str, subtests: pytest.Subtests
) -> None:
    axe_core = axe.source()
    for screen in reading.SCREENS:
        with subtests.test(screen):
            reading.assert_readable(browser, fixed.page[name], screen, axe_core)


def test_the_fault_is_found_by_a_filter_and_by_keys(browser: Browser, fixed: FixedHosts) -> None:
    rows = results_file.load_results(fixed.results("before")).results
    failed = [r for r in rows if r.verdict is Verdict.FAIL]
    # A fix reads the rows of a cluster too, for its gates; these hosts have none.
    assert {(r.host, r.requirement) for r in failed if r.requirement in ONLY} == {
        (FORWARD, "SYS-IP-FORWARD"),
        (SWAP, "SWAP-OFF"),
    }
    browser.show(1280, 800)
    browser.open(fixed.page["before"])
    named = [r for r in rows if "zz-site" in r.actual]
    assert named
    reading.type_filter(browser, "zz-site", f"{len(named)} of {len(rows)} results")
    browser.open(fixed.page["before"], "#?verdict=FAIL")
    shown = "document.getElementById('count').textContent"
    assert browser.evaluate(shown) == f"{len(failed)} of {len(rows)} results"
    assert "severity" in reading.reach_row_by_keys(browser)


def test_paper_has_each_change_and_its_approval(
    browser: Browser, fixed: FixedHosts, tmp_path: Path
) -> None:
    digest = plan.load_plan(fixed.page["change"].with_name("plan.json")).sha256
    words = reading.printed(browser, fixed.page["change"], tmp_path)
    for text in ("/etc/sysctl.d/zz-site.conf", "/etc/fstab", "CHG-8", digest):
        assert text in words, text
    assert re.search(r"2resultsfixed,none", words)


@pytest.mark.parametrize("name", AUDITS)
def test_an_audits_page_has_every_result(fixed: FixedHosts, name: str) -> None:
    saved = results_file.load_results(fixed.results(name))
    found = pages.Page(fixed.page[name].read_text()).rows
    assert [row["verdict"] for row in found].count("FAIL") == len(
        [r for r in saved.results if r.verdict is Verdict.FAIL]
    )
    assert len(found) == len(saved.results)
