"""The pictures of README.md, docs/audit.png and docs/change.png, from recorded evidence of the lab.

make screenshots
"""

import dataclasses
import tempfile
from pathlib import Path

from hale.apply import change_page
from hale.apply.journal import RunState
from hale.audit import evidence_file
from hale.audit.run import judge_saved
from hale.inventory import ini
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import html
from hale.report.change import page
from hale.standard import loader
from tests.reports import change_runs, factories
from tests.reports.browser import Browser

DOCS = factories.ROOT / "docs"
WIDTH, HEIGHT = 1180, 760
#: What the recorded hosts, which had no cluster, can be judged by. What a later baseline reads and
#: was not recorded is left out, too.
SUBJECTS = ("sysctl", "swap", "limits", "kernel_modules", "hostname", "hosts_file", "os_release")
MADE_AT = "2026-11-29T22:12:00.000Z"  # so that the picture changes with the page alone


def audited(folder: Path) -> Results:
    """The recorded evidence, judged by the present baseline as if it had been gathered now."""
    path = factories.DATA / "evidence.json"
    known = ini.load_inventory(factories.DATA / "inventory.ini")
    standard = loader.load_standard(factories.ROOT / "standard")
    found = judge_saved(evidence_file.load_evidence(path), path, known, standard, folder).results
    run = found.run
    run.evidence_from, run.started = "", "2026-11-29T22:00:00.000Z"
    run.cluster, run.purpose, run.metadata = "kubernetes", "batch jobs", {"ticket": "CHG-1"}
    found.notices = []  # the hosts ran no kubelet
    down = {host.name for host in found.hosts if host.down}
    found.results = [
        row
        for row in found.results
        if row.subject in SUBJECTS and (row.verdict is not Verdict.UNKNOWN or row.host in down)
    ]
    return found


def fixed(recorded: Results, folder: Path) -> str:
    """The page of a fix on two hosts, made from the folder of such a run."""
    hosts = (change_runs.ONE, change_runs.TWO)
    recorded.results = [r for r in recorded.results if r.host in hosts and r.subject != "swap"]
    before, after = change_runs.audits(recorded)
    made = change_runs.a_plan(*hosts)
    entries = [
        *change_runs.complete(change_runs.ONE, 601),
        *change_runs.complete(change_runs.TWO, 610),
        change_runs.end(RunState.FINISHED, 620),
    ]
    report = change_page.build(change_runs.a_run(folder, made, entries, before, after))
    return page.render(dataclasses.replace(report, made_at=MADE_AT))


def main() -> None:
    """Write both."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        recorded = audited(folder)
        audit = html.render(recorded).replace(str(factories.DATA), "/etc/hale")
        rendered = {"audit": audit, "change": fixed(recorded, folder)}
        browser = Browser(folder / "chromium")
        try:
            browser.show(WIDTH, HEIGHT)
            for name, text in rendered.items():
                (folder / f"{name}.html").write_text(text)
                browser.open(folder / f"{name}.html")
                (DOCS / f"{name}.png").write_bytes(browser.screenshot())
        finally:
            browser.close()


if __name__ == "__main__":
    main()
