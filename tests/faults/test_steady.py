"""An audit of hosts that nobody touches says the same every time, however it is run."""

import difflib
import re
from pathlib import Path

import msgspec
import pytest

from hale.model.results import Results
from tests.faults import audit
from tests.faults.conftest import Compliant

pytestmark = pytest.mark.lab

RUNS = 20
TYPED = 6  # of them by the real command, whole results compared; the others row by row
# Files of the kernel that count what the machine does, of which a check needs one line.
COUNTERS = ("/proc/meminfo",)
# chronyc's measurements of a source, and of the clock; not the source, and not its state.
MEASURED = re.compile(r"(?m)^(chrony: (?:\^,.,[\d.]+|\w+,[\d.]+,\d+)),[-\d.,]*(,[\w ]+)?$")

# What is free of a file system.
FREE = re.compile(r"(?m)^blocks \d+ (\d+) inodes \d+ ")


def steady(found: Results) -> str:
    """Everything in the results that is not a time, or named after one."""
    rows = []
    for result in found.results:
        row = msgspec.to_builtins(result)
        del row["duration"]
        for reading in row["evidence"]:
            del reading["read_at"]
            if reading["probe"] in COUNTERS:
                del reading["output"]
            else:  # a lease is held against the host's own clock, which the probe tells
                output = re.sub(r"(?m)^now [\d.]+$", "now", reading["output"])
                reading["output"] = FREE.sub(r"blocks … \1 ", MEASURED.sub(r"\1 …\2", output))
        if result.requirement == "CLOCK-SKEW":  # it tells times
            del row["actual"]
        rows.append(row)
    hosts = []
    for record in found.hosts:
        host = msgspec.to_builtins(record)
        del host["read_at"]
        # Reckoned from the kernel's clock, which the machine's is steered by: it moves by a
        # second. Which boot it was, boot_id tells.
        assert host.pop("booted_at")
        hosts.append(host)
    run = found.run
    return msgspec.json.format(
        msgspec.json.encode([rows, hosts, run.exit_status, run.state, run.incomplete])
    ).decode()


def same(one: Results, other: Results, which: str) -> None:
    """Say where two audits differ and not, as a comparison of lists does, all that is alike."""
    changed = difflib.unified_diff(
        steady(one).splitlines(), steady(other).splitlines(), "one", "other", lineterm="", n=12
    )
    assert not (printed := "\n".join(changed)), f"{which}:\n{printed}"


def test_twenty_audits_are_one(compliant: Compliant) -> None:
    first = compliant.typed()
    for number in range(2, TYPED + 1):
        same(first, compliant.typed(), f"audit {number} differs from the first")
    for number in range(TYPED + 1, RUNS + 1):
        rows = compliant.engine.audit()
        trouble = audit.trouble(compliant.before, rows, {}, "cluster")
        assert not trouble, f"audit {number}: {trouble}"


def test_with_workers_it_is_the_same(compliant: Compliant) -> None:
    same(compliant.typed(), compliant.typed("-n", "2"), "with workers it differs")


def test_judged_again_from_its_evidence_it_is_the_same(compliant: Compliant) -> None:
    first = compliant.typed()
    folder = max((p for p in compliant.reports.iterdir()), key=lambda p: p.stat().st_mtime)
    again = compliant.typed(f"--evidence={Path(folder) / 'evidence.json'}")
    same(first, again, "judged again it differs")
