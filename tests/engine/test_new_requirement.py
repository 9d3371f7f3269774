"""`make new-requirement`: what it writes loads, is judged, has manual steps, and passes lint."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hale.docs import new_requirement
from hale.model.errors import UserError
from hale.paths import ROOT

LEFT_OUT = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", "reports", "bench")
# The second one is long, so that lines of the templates must be broken.
NAMES = ("audit_log", "journal_persistence_across_boots")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which both requirements were started."""
    folder = tmp_path_factory.mktemp("new") / "tree"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "hale/report", folder / "hale/report", dirs_exist_ok=True)
    for name in NAMES:
        done = run(folder, "hale.docs.new_requirement", name)
        assert done.returncode == 0, done.stderr
        assert f"facts/{name}.py" in done.stdout
    return folder


def run(folder: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_is_marked_to_be_edited(tree: Path) -> None:
    for name in NAMES:
        for template, path in new_requirement.FILES.items():
            file = tree / path.replace("@name@", name).replace("@dashed@", name.replace("_", "-"))
            text = file.read_text()
            assert not re.search(r"@\w+@", text), file
            assert "EDIT" in text or template == "by_hand.txt.in", file


def test_its_cases_and_its_remedy_are_green(tree: Path) -> None:
    words = ("-q", "-p", "no:cacheprovider", "-k", " or ".join(NAMES))
    done = run(tree, "pytest", "tests/facts/test_cases.py", "tests/remediate", *words)
    assert done.returncode == 0, done.stdout
    # 5 cases of facts, 2 of remedies, and its page, of each.
    assert f"{len(NAMES) * 8} passed" in done.stdout, done.stdout


def test_a_case_that_says_otherwise_is_red(tree: Path) -> None:
    """What is generated is really judged."""
    case = tree / "tests/facts/audit_log/runtime-pass.toml"
    text = case.read_text()
    case.write_text(text.replace("ActiveState=active", "ActiveState=failed"))
    done = run(tree, "pytest", "tests/facts/test_cases.py", "-q", "-k", "audit_log")
    case.write_text(text)
    assert done.returncode == 1, done.stdout


def test_lint_passes(tree: Path) -> None:
    code = [f"{folder}{name}.py" for name in NAMES for folder in ("facts/", "checks/test_")]
    for module, *words in (
        ("ruff", "check", *code),
        ("ruff", "format", "--check", *code),
        ("mypy", *code),
        ("hale.docs.requirement_page", "--check"),
        ("lint.words",),
    ):
        done = run(tree, module, *words)
        assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"


def test_its_page_is_in_the_docs(tree: Path) -> None:
    text = (tree / "docs/requirements/AUDIT-LOG.md").read_text()
    assert "systemctl enable --now audit-log.service" in text
    assert "hale_audit_log__unit" in text
    assert "[AUDIT-LOG](AUDIT-LOG.md)" in (tree / "docs/requirements/README.md").read_text()


@pytest.mark.parametrize(
    "name", ["", "AuditLog", "audit-log", "class", "masters", "critical", "swap"]
)
def test_a_name_that_cannot_be(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    (folder / "swap.py").write_text("")
    with pytest.raises(UserError):
        new_requirement.create(name, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["swap.py"]
