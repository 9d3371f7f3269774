"""SECURITY.md: the tests that it names are there and run in CI, and it leaves none of these out."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from hale.paths import ROOT
from tests.engine.pytest_cli import PYTEST

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
HERE = Path(__file__).parent
LEAST = 120
SECTIONS = (
    "Who is trusted with what",
    "What is promised",
    "What evidence holds",
    "How it is tested",
    "Report a vulnerability",
)


@pytest.fixture(scope="module")
def in_ci() -> Counter[str]:
    """The tests that CI runs, of this folder and of what the table names, by their file."""
    others = {p for row in rows() for p in row if p.endswith(".py") and "/hostile/" not in p}
    done = subprocess.run(
        [str(PYTEST), "tests/hostile", *sorted(others), "--collect-only", "-qq", "-mnot soak"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HALE_SOAK"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\S+\.py): (\d+)$", done.stdout, re.M)
    return Counter({f"tests/{path}": int(count) for path, count in found})


def rows() -> list[list[str]]:
    """The files of each line of the table."""
    lines = PAGE.partition("## How it is tested")[2].partition("\n## ")[0].splitlines()
    return [found for line in lines if (found := re.findall(r"`(tests/[^`]+\.\w+)`", line))]


def test_it_has_its_sections() -> None:
    assert tuple(re.findall(r"^## (.+)$", PAGE, re.M)) == SECTIONS


def test_the_attackers_are_as_many_as_it_states(in_ci: Counter[str]) -> None:
    stated = re.search(r"At least (\d+) of them run\s+in CI", PAGE)
    assert stated
    counted = sum(count for path, count in in_ci.items() if path.startswith("tests/hostile/"))
    assert LEAST <= int(stated[1]) <= counted


def test_each_line_is_tested_in_ci(in_ci: Counter[str]) -> None:
    assert len(rows()) > 10
    missing = [path for row in rows() for path in row if not (ROOT / path).is_file()]
    assert not missing
    for row in rows():
        modules = [path for path in row if path.endswith(".py")]
        assert not modules or any(in_ci[module] for module in modules), row


def test_each_module_of_this_folder_is_in_a_line() -> None:
    named = {path for row in rows() for path in row}
    assert {f"tests/hostile/{path.name}" for path in HERE.glob("test_*.py")} <= named
