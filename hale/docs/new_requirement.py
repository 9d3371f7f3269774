"""Starts a requirement: its files, green, with EDIT where a person decides.

    make new-requirement NAME=auditd

writes the fact, the check, the page of manual steps, recorded cases and a table of the baseline,
from hale/docs/new_requirement/, and the page of docs/requirements. It changes no file.
"""

import keyword
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from hale.files import atomic
from hale.model.errors import UserError
from hale.model.requirement import Aspect, Profile, Role, Severity
from hale.paths import ROOT

TEMPLATES = Path(__file__).parent / "new_requirement"
# Template -> the file that it becomes, in the tree.
FILES = {
    "facts.py.in": "facts/@name@.py",
    "check.py.in": "checks/test_@name@.py",
    "page.md.in": "remediate/@name@.md",
    "baseline.toml.in": "standard/extended-@dashed@.toml",
    "runtime-pass.toml.in": "tests/facts/@name@/runtime-pass.toml",
    "runtime-fail.toml.in": "tests/facts/@name@/runtime-fail.toml",
    "runtime-unknown.toml.in": "tests/facts/@name@/runtime-unknown.toml",
    "persisted-pass.toml.in": "tests/facts/@name@/persisted-pass.toml",
    "persisted-fail.toml.in": "tests/facts/@name@/persisted-fail.toml",
    "by_hand.txt.in": "tests/remediate/@name@/by_hand.txt",
}
# A subject is a pytest marker and a fixture, as these are.
TAKEN = {*Role, *Aspect, *Severity, *Profile, "case", "parameters", "requirement", "request"}


def create(name: str, root: Path = ROOT) -> list[Path]:
    """Write the files of a new subject, and return them. Raises UserError for a name that is taken
    or none, before anything is written."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise UserError(f"NAME={name}: a subject is named in snake_case, like time_sync.")
    if name in TAKEN:
        raise UserError(f"NAME={name}: pytest has a marker or fixture of that name. Take another.")
    values = _values(name)
    wanted = {root / _filled(path, values): template for template, path in FILES.items()}
    present = [path for path in wanted if path.exists()]
    if present:
        raise UserError(f"NAME={name}: {present[0].relative_to(root)} exists. Take another name.")
    for path, template in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, _filled((TEMPLATES / template).read_text(), values).encode(), mode=0o644)
    code = [str(path) for path in wanted if path.suffix == ".py"]
    for arguments in (("check", "--fix", "--select=I"), ("format",)):  # long names wrap lines
        subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--quiet", *code], cwd=root, check=True
        )
    subprocess.run([sys.executable, "-m", "hale.docs.requirement_page"], cwd=root, check=True)
    return list(wanted)


def requirement_id(name: str) -> str:
    """TIME-SYNC of time_sync; an id has two words at least, so NODE-CHRONY of chrony."""
    words = name.upper().replace("_", "-")
    return words if "-" in words else f"NODE-{words}"


def _values(name: str) -> Mapping[str, str]:
    dashed = name.replace("_", "-")
    return {
        "@name@": name,
        "@Name@": "".join(word.capitalize() for word in name.split("_")),
        "@ID@": requirement_id(name),
        "@dashed@": dashed,
        "@unit@": f"{dashed}.service",
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def main(words: list[str]) -> int:
    """Create the one requirement that is named; exit status 2 where it cannot be."""
    try:
        if len(words) != 1 or not words[0]:
            raise UserError("usage: make new-requirement NAME=auditd")
        created = create(words[0])
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for path in created:
        print(path.relative_to(ROOT))
    print(
        f"docs/requirements/{requirement_id(words[0])}.md\n"
        "All of its tests pass. Search the files for EDIT, then run `make docs` and `make lint`.\n"
        "tests/faults/test_table.py fails until a fault in tests/faults proves the requirement on "
        "a real host."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
