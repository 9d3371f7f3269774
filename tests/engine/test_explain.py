"""A requirement's page: current in docs/requirements, told alike by `invoke explain`."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hale import explain, inventory, standard
from hale.change import Effect
from hale.errors import HaleError
from hale.provenance import ROOT
from hale.requirement import Requirement

REQUIREMENTS = standard.load(ROOT / "standard").requirements
INVOKE = Path(sys.executable).with_name("invoke")


def test_the_pages_are_current() -> None:
    assert explain.outdated() == [], "say `make docs` and commit docs/requirements"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.id)
def test_a_page_says_all(requirement: Requirement) -> None:
    text = explain.page(requirement.id)
    assert requirement.why in text
    for aspect in requirement.aspects:
        assert f"- **{aspect}**: " in text
    for heading in ("What must be true", "How it is seen", "What `invoke fix` does", "By hand"):
        assert text.count(f"\n## {heading}\n") == 1
    assert f"hale_{requirement.id.lower().replace('-', '_')}__" in text or not (
        requirement.parameters.__struct_fields__
    )
    assert "{{" not in text
    assert "Unreadable" not in text


def test_by_hand_has_the_standards_values() -> None:
    text = explain.page("SYS-IP-FORWARD").partition("## By hand")[2]
    assert "sysctl -w net.ipv4.ip_forward=1" in text
    assert "`net.ipv4.ip_forward = 1` in `/etc/sysctl.d/k8s.conf`" in text


def test_texts_by_hand_are_of_subjects() -> None:
    subjects = {r.subject for r in REQUIREMENTS}
    assert {path.stem for path in (ROOT / "remediate").glob("*.md")} <= subjects


def test_costs_are_those_of_the_remedies() -> None:
    """What a recorded case of tests/remediate costs, its requirement's page has."""
    seen = set()
    for path in (ROOT / "tests" / "remediate").glob("*/*.toml"):
        case = tomllib.loads(path.read_text())
        risk = explain.page(case["requirement"]).partition("## Risk")[2].partition("##")[0]
        for name in case.get("effects", ()):
            assert Effect[name].value in risk, f"{path.name}: {name}"
            seen.add(name)
    assert seen >= {"RESTART", "REBOOT", "TRAFFIC"}


def test_a_new_requirement_needs_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "standard", tmp_path / "standard")
    (tmp_path / "standard" / "10-new.toml").write_text(
        'chapter = 10\ntitle = "New"\n[NEW-ONE]\ntitle = "New"\nsubject = "sysctl"\n'
        'role = "workers"\nseverity = "minor"\n[NEW-ONE.aspects]\nruntime = "{key} is {value}"\n'
        '[NEW-ONE.parameters]\nkey = "vm.swappiness"\nvalue = 7\n'
    )
    stated = standard.load(tmp_path / "standard")
    known = inventory.load(ROOT / "inventory.ini")
    monkeypatch.setattr(explain, "_stated", lambda: (stated, known))
    assert set(explain.outdated()) == {"NEW-ONE.md", "README.md"}
    text = explain.page("NEW-ONE")
    assert "workers only" in text
    assert "vm.swappiness is 7\n\nAs the document plans it, shown for k8s-node-01." in text
    assert "- `/proc/sys/vm/swappiness`" in text


def test_what_is_not_current_is_found_and_mended(tmp_path: Path) -> None:
    explain.write(tmp_path)
    assert explain.outdated(tmp_path) == []
    (tmp_path / "SWAP-OFF.md").write_text("by hand")
    (tmp_path / "GONE.md").write_text("of no requirement")
    (tmp_path / "README.md").unlink()
    assert explain.outdated(tmp_path) == ["GONE.md", "README.md", "SWAP-OFF.md"]
    explain.write(tmp_path)
    assert explain.outdated(tmp_path) == []


def typed(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [INVOKE, "explain", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_invoke_explain_prints_the_page() -> None:
    done = typed("swap-off")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (explain.PAGES / "SWAP-OFF.md").read_text()


def test_an_unknown_one_is_told_with_a_near_one() -> None:
    done = typed("SWAP-OF")
    assert done.returncode == 1
    assert "there is no requirement 'SWAP-OF'. Did you mean SWAP-OFF?" in done.stderr
    with pytest.raises(HaleError):
        explain.page("")
