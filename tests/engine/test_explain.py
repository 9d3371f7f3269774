"""A requirement's page: current in docs/requirements, told alike by `invoke explain`."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hale.docs import requirement_page
from hale.inventory import ini
from hale.model.change import Impact
from hale.model.errors import UserError
from hale.model.requirement import Requirement
from hale.paths import ROOT
from hale.standard import loader

REQUIREMENTS = loader.load_standard(ROOT / "standard").requirements
INVOKE = Path(sys.executable).with_name("invoke")


def test_the_pages_are_current() -> None:
    assert requirement_page.outdated() == [], "say `make docs` and commit docs/requirements"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.id)
def test_a_page_says_all(requirement: Requirement) -> None:
    text = requirement_page.page(requirement.id)
    assert requirement.why in text
    for aspect in requirement.aspects:
        assert f"- **{aspect}**: " in text
    for heading in (
        "What must be true",
        "How it is read",
        "What `invoke fix` does",
        "Manual steps",
    ):
        assert text.count(f"\n## {heading}\n") == 1
    assert f"hale_{requirement.id.lower().replace('-', '_')}__" in text or not (
        requirement.parameters.__struct_fields__
    )
    assert "{{" not in text
    assert "Unreadable" not in text


def test_by_hand_has_the_standards_values() -> None:
    text = requirement_page.page("SYS-IP-FORWARD").partition("## Manual steps")[2]
    assert "sysctl -w net.ipv4.ip_forward=1" in text
    assert "`net.ipv4.ip_forward = 1` in `/etc/sysctl.d/k8s.conf`" in text


def test_texts_by_hand_are_of_subjects() -> None:
    subjects = {r.subject for r in REQUIREMENTS}
    assert {path.stem for path in (ROOT / "remediate").glob("*.md")} <= subjects


def test_costs_are_those_of_the_remedies() -> None:
    """What a recorded case of tests/remediate costs, its requirement's page has."""
    observed = set()
    for path in (ROOT / "tests" / "remediate").glob("*/*.toml"):
        case = tomllib.loads(path.read_text())
        risk = requirement_page.page(case["requirement"]).partition("## Risk")[2].partition("##")[0]
        for name in case.get("effects", ()):
            assert Impact[name].value in risk, f"{path.name}: {name}"
            observed.add(name)
    assert observed >= {"RESTARTS_SERVICE", "NEEDS_REBOOT", "DISRUPTS_TRAFFIC"}


def test_a_new_requirement_needs_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "standard", tmp_path / "standard")
    (tmp_path / "standard" / "10-new.toml").write_text(
        'chapter = 10\ntitle = "New"\n[NEW-ONE]\ntitle = "New"\nsubject = "sysctl"\n'
        'role = "workers"\nseverity = "minor"\n[NEW-ONE.aspects]\nruntime = "{key} is {value}"\n'
        '[NEW-ONE.parameters]\nkey = "vm.swappiness"\nvalue = 7\n'
    )
    stated = loader.load_standard(tmp_path / "standard")
    known = ini.load_inventory(ROOT / "inventory.ini")
    monkeypatch.setattr(requirement_page, "_load", lambda: (stated, known))
    assert set(requirement_page.outdated()) == {"NEW-ONE.md", "README.md"}
    text = requirement_page.page("NEW-ONE")
    assert "workers only" in text
    assert (
        "vm.swappiness is 7\n\nFor the hosts of the example inventory, shown for k8s-node-01."
        in text
    )
    assert "- `/proc/sys/vm/swappiness`" in text


def test_pages_that_are_not_current_are_found_and_rewritten(tmp_path: Path) -> None:
    requirement_page.write(tmp_path)
    assert requirement_page.outdated(tmp_path) == []
    (tmp_path / "SWAP-OFF.md").write_text("by hand")
    (tmp_path / "GONE.md").write_text("of no requirement")
    (tmp_path / "README.md").unlink()
    assert requirement_page.outdated(tmp_path) == ["GONE.md", "README.md", "SWAP-OFF.md"]
    requirement_page.write(tmp_path)
    assert requirement_page.outdated(tmp_path) == []


def typed(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [INVOKE, "explain", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_invoke_explain_prints_the_page() -> None:
    done = typed("swap-off")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (requirement_page.PAGES / "SWAP-OFF.md").read_text()


def test_an_unknown_requirement_is_refused_with_a_similar_one() -> None:
    done = typed("SWAP-OF")
    assert done.returncode == 1
    assert "there is no requirement 'SWAP-OF'. Did you mean SWAP-OFF?" in done.stderr
    with pytest.raises(UserError):
        requirement_page.page("")
