"""bench/repeat_plugin.py: a copy of every test is judged, and gets the same verdict."""

from pathlib import Path

from bench.repeat_plugin import COPY
from tests.reports import factories


def test_every_test_is_judged_twice(tmp_path: Path) -> None:
    audited = factories.audit(tmp_path, "-p", "bench.repeat_plugin", "--repeat=2")
    verdicts = {
        (row.host, row.requirement, row.aspect): row.verdict for row in audited.results.results
    }
    once = {key: verdict for key, verdict in verdicts.items() if COPY not in key[1]}
    copies = {
        (host, requirement.partition(COPY)[0], aspect): verdict
        for (host, requirement, aspect), verdict in verdicts.items()
        if COPY in requirement
    }
    assert len(once) > 100
    assert copies == once
