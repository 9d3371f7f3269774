"""The words of docs/glossary.md hold in names and texts, and a class name means one thing.

    python -m lint.words            fail where a room has more or fewer retired words than allowed
    python -m lint.words --lower    write the allowances that have become too large; raises none

Names are what a file defines: classes, functions, parameters, variables and attributes. Texts are
its string literals and docstrings, and the lines of shell scripts, templates, remediation pages
and the baseline that are no comments. The allowance of each room stands in lint/allowed.toml and
only ever goes down: a room without a line there is done.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).parent.parent
ALLOWED = "lint/allowed.toml"
SOURCES = ("hale", "facts", "remediate", "checks", "lab", "standard", "tasks.py", "conftest.py")
TEXT_FILES = (".sh", ".jinja2", ".md", ".toml")
# A room is a file or the folder of a file, by at most this many parts of its path.
ROOM_DEPTH = 2
HEAD = """# What lint/words.py still allows: retired words of a room, definitions of a class name.
# `make format` lowers these numbers; never raise one.
"""

# Retired words of names, and what to write instead.
NAMES: Mapping[str, str] = {
    "anew": "again, re-",
    "asked": "options, requested",
    "despite": "ignored",
    "doer": "executor",
    "heed": "use",
    "ill": "unhealthy",
    "meanwhile": "while_…",
    "mend": "fix, remediate",
    "mended": "fixed",
    "mending": "fixing",
    "nobody": "no_…",
    "said": "output, message",
    "seen": "observed, outcome",
    "told": "report, on_event",
    "whole": "healthy, complete",
}
# Retired words of texts, as regular expressions.
TEXTS: Mapping[str, str] = {
    r"anew": "again",
    r"heed(s|ed)?": "use, apply",
    r"ill": "unhealthy",
    r"is through": "is done",
    r"meanwhile": "while …",
    r"mend(s|ed|ing)?": "fix, remediate",
    r"nobody": "no host, nothing",
    r"red rows?": "failed results",
    r"taken? away": "inject",
    r"told": "reported",
    r"what is red": "failures",
    r"whole": "healthy, complete",
}
_TEXTS = {re.compile(rf"\b{word}\b", re.IGNORECASE): better for word, better in TEXTS.items()}
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Finding(NamedTuple):
    """A retired word. `path` is relative to the tree; `better` is what to write instead."""

    path: str
    line: int
    word: str
    better: str

    @property
    def room(self) -> str:
        """The room of the file, as lint/allowed.toml names it."""
        parts = Path(self.path).parts
        return "/".join(parts[: min(ROOM_DEPTH, max(len(parts) - 1, 1))])

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}; better: {self.better}"


def findings_of_python(path: str, source: str) -> Iterator[Finding]:
    """The retired words of a module's names, string literals and docstrings."""
    for node in ast.walk(ast.parse(source, path)):
        line = getattr(node, "lineno", 0)
        for name in _names_defined(node):
            for part in _PART.findall(name):
                if better := NAMES.get(part.lower()):
                    yield Finding(path, line, name, better)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _findings_of_text(path, node.value, line)


def _names_defined(node: ast.AST) -> list[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
        case ast.alias(asname=str(name)):
            return [name]
        case _:
            return []


def _findings_of_text(path: str, text: str, line: int) -> Iterator[Finding]:
    for word, better in _TEXTS.items():
        for match in word.finditer(text):
            yield Finding(path, line + text.count("\n", 0, match.start()), match[0], better)


def findings_of_lines(path: str, source: str) -> Iterator[Finding]:
    """The retired words of a text file, comment lines left out."""
    for number, line in enumerate(source.splitlines(), 1):
        if not line.lstrip().startswith("#") or path.endswith(".md"):
            yield from _findings_of_text(path, line, number)


def class_names(path: str, source: str) -> Iterator[tuple[str, str]]:
    """(name, path:line) of each public class that a module defines at its top level."""
    for node in ast.parse(source, path).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, f"{path}:{node.lineno}"


def problems(
    found: Mapping[str, list[Finding]],
    classes: Mapping[str, list[str]],
    allowed: Mapping[str, Mapping[str, int]],
) -> list[str]:
    """What is wrong, a line each. `found` is by room; `classes`: where each name is defined."""
    lines: list[str] = []
    words, repeated = allowed["words"], allowed["classes"]
    for room in sorted({*found, *words}):
        count, limit = len(found.get(room, ())), words.get(room, 0)
        if count > limit:
            lines += [str(finding) for finding in found[room]]
            lines.append(f"{room}: {count} retired words, {limit} allowed; see docs/glossary.md")
        elif count < limit:
            lines.append(f"{room}: {count} retired words, {limit} allowed; `make format` lowers it")
    for name in sorted({*classes, *repeated}):
        places, limit = classes.get(name, []), repeated.get(name, 1)
        if len(places) > limit:
            lines.append(f"class {name} is defined {len(places)} times: {', '.join(places)}")
        elif len(places) < limit:
            lines.append(f"class {name}: {limit} definitions allowed; `make format` lowers it")
    return lines


def _files(tree: Path) -> Iterator[Path]:
    for name in SOURCES:
        top = tree / name
        yield from [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())


def main(arguments: list[str]) -> int:
    """The exit status: 0 when all is well, 1 otherwise."""
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for file in _files(TREE):
        path = str(file.relative_to(TREE))
        findings: Iterator[Finding] = iter(())
        if file.suffix == ".py":
            source = file.read_text()
            findings = findings_of_python(path, source)
            for name, place in class_names(path, source):
                classes[name].append(place)
        elif file.suffix in TEXT_FILES:
            findings = findings_of_lines(path, file.read_text())
        for finding in findings:
            found[finding.room].append(finding)
    table = TREE / ALLOWED
    allowed: dict[str, dict[str, int]] = tomllib.loads(table.read_text())
    if "--lower" in arguments:
        words = {r: min(n, len(found[r])) for r, n in allowed["words"].items() if found[r]}
        repeated = {c: min(n, len(classes[c])) for c, n in allowed["classes"].items()}
        repeated = {c: n for c, n in repeated.items() if n > 1}
        table.write_text(HEAD + _table("words", words) + "\n" + _table("classes", repeated))
        return 0
    wrong = problems(found, classes, allowed)
    print("\n".join(wrong) if wrong else "Words: as the glossary says.")
    return 1 if wrong else 0


def _table(name: str, counts: Mapping[str, int]) -> str:
    rows = (f'"{key}" = {count}\n' for key, count in sorted(counts.items()))
    return f"[{name}]\n{''.join(rows)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
