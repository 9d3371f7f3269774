"""`pytest --hosts=… --pdb` stops where a check fails, and judges as without it."""

import subprocess
from pathlib import Path

from hale.model.verdict import Verdict
from tests.engine.pytest_cli import (
    EVIDENCE,
    ROOT,
    Done,
    command,
    environment,
    typed,
)


def debugged(folder: Path, commands: str, *words: str, more: dict[str, str] | None = None) -> Done:
    """An audit with --pdb, and what is typed there."""
    done = subprocess.run(
        command(folder, *EVIDENCE, "--pdb", *words),
        cwd=ROOT,
        env=environment(more),
        input=commands,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, folder)


def test_pdb_stops_in_the_check_that_fails(tmp_path: Path) -> None:
    """The verdict, its reason and its log are those without it."""
    words = ("-k", "SYS-IP-FORWARD and runtime and k8s-master-02")
    done = debugged(tmp_path / "pdb", "p ('value', parameters.value)\nc\n", *words)
    assert "(Pdb) ('value', 1)" in done.output, done.output
    assert "checks/test_sysctl.py" in done.output.partition("(Pdb)")[0]
    plain = typed(tmp_path / "plain", *EVIDENCE, *words)
    assert "(Pdb)" not in plain.output
    assert done.code == plain.code == 1
    (one,), (other,) = done.results.results, plain.results.results
    assert (one.verdict, one.actual, one.log) == (other.verdict, other.actual, other.log)
    assert one.verdict is Verdict.FAIL


def test_pdb_stops_where_a_fact_cannot_be_read(tmp_path: Path) -> None:
    words = ("-k", "SYS-IP-FORWARD and runtime and k8s-node-02")
    done = debugged(tmp_path / "pdb", "p ('verdict', verdict)\nc\n", *words)
    assert "(Pdb)" in done.output, done.output
    (one,) = done.results.results
    (other,) = typed(tmp_path / "plain", *EVIDENCE, *words).results.results
    assert (one.verdict, one.actual, one.log) == (other.verdict, other.actual, other.log)
    assert one.verdict is Verdict.UNKNOWN
