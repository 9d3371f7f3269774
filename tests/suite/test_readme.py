"""tests/README.md: its case files pass as they stand there, and it names every folder."""

import re
from pathlib import Path

import pytest

from tests.engine import test_inventory as inventory_cases
from tests.facts import test_cases as facts_cases
from tests.remediate import test_cases as remediate_cases

TESTS = Path(__file__).parent.parent
TEXT = (TESTS / "README.md").read_text()


def example(heading: str, folder: Path) -> Path:
    """The TOML of a section as a file in a folder."""
    section = TEXT.partition(f"### `{heading}")[2]
    found = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
    assert found, heading
    folder.mkdir(exist_ok=True)
    path = folder / "example.toml"
    path.write_text(found[1])
    return path


def test_the_case_of_a_reader(tmp_path: Path) -> None:
    facts_cases.test_case(example("facts/", tmp_path / "sysctl"))


def test_the_case_of_a_remedy(tmp_path: Path) -> None:
    path = example("remediate/", tmp_path / "br_netfilter")
    remediate_cases.test_remedy(path)


def test_the_case_of_an_inventory(tmp_path: Path) -> None:
    inventory_cases.test_malformed(example("engine/inventory", tmp_path / "malformed"), tmp_path)


def test_every_folder_is_named() -> None:
    folders = {p.parent.name for p in TESTS.glob("*/test_*.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == folders


@pytest.mark.parametrize("name", re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
def test_every_target_exists(name: str) -> None:
    assert re.search(rf"^{name}:", (TESTS.parent / "Makefile").read_text(), re.MULTILINE)
