"""The words of docs/glossary.md hold in names and texts, and a class name means one thing.

    python -m lint.words            list each retired word, and each class name defined twice

Names are what a file defines: classes, functions, parameters, variables and attributes. Texts are
its string literals and docstrings, and the lines of documentation, shell scripts, templates,
remediation pages and the baseline that are no comments.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).parent.parent
SOURCES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "hale",
    "facts",
    "remediate",
    "checks",
    "lab",
    "standard",
    "tasks.py",
    "conftest.py",
)
TEXT_FILES = (".sh", ".jinja2", ".in", ".md", ".toml")
GLOSSARY = "docs/glossary.md"
# The section of the glossary that lists the retired words.
RETIRED = "## Retired words"

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
    r"another form than": "an unknown format",
    r"br(eak|eaks|oke) off": "is truncated, is lost",
    r"cannot be told": "is unknown, could not be read",
    r"cut off": "interrupted",
    r"heed(s|ed)?": "use, apply",
    r"given back": "reverted",
    r"(?<!there )(is|are) no (file|number|version|address|member|socket)": "is not a …",
    r"(is|are) not green": "fails",
    r"ill": "unhealthy",
    r"is through": "is done",
    r"meanwhile": "while …",
    r"mend(s|ed|ing)?": "fix, remediate",
    r"no longer well": "unhealthy",
    r"nobody": "no host, nothing",
    r"not to be seen": "not visible, unknown",
    r"said": "output, stated",
    r"seen": "observed, read",
    r"r[au]ns? out (in|\d+ days|soon)": "expire",
    r"(red|green|unknown) rows?": "failed, passed, unknown results",
    r"rows? (is|are|was|were) (red|green|unknown)": "failed, passed, unknown results",
    r"somebody( else)?": "a process, another host",
    r"tak(e|es|en) away": "inject, remove",
    r"takes back": "undoes",
    r"told": "reported",
    r"(what )?(is|are|was|were|turns?|turned) (red|green)": "fails, passes",
    r"well again": "healthy again",
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

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}; better: {self.better}"


def findings_of_python(path: str, source: str) -> Iterator[Finding]:
    """The retired words of a module's names, string literals and docstrings."""
    tree = ast.parse(source, path)
    saved = {id(name) for node in ast.walk(tree) for name in _saved_names(node)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for name in _names_defined(node):
            for part in _PART.findall(name):
                if better := NAMES.get(part.lower()):
                    yield Finding(path, line, name, better)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in saved:
            yield from _findings_of_text(path, node.value, line)


def _saved_names(node: ast.AST) -> list[ast.expr]:
    """The values of `rename={"new": "saved"}`: a file's format keeps the name it began with."""
    match node:
        case ast.keyword(arg="rename", value=ast.Dict(values=values)):
            return values
        case _:
            return []


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


def repeated_classes(classes: Mapping[str, list[str]]) -> list[str]:
    """The class names with more than one definition, a line each. `classes`: places by name."""
    return [
        f"class {name} is defined {len(places)} times: {', '.join(places)}"
        for name, places in sorted(classes.items())
        if len(places) > 1
    ]


def _files(tree: Path) -> Iterator[Path]:
    for name in SOURCES:
        top = tree / name
        yield from [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())


def main(tree: Path = TREE) -> int:
    """The exit status: 0 if there is nothing to list, 1 otherwise."""
    wrong: list[str] = []
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for file in _files(tree):
        path = str(file.relative_to(tree))
        if file.suffix == ".py":
            source = file.read_text()
            wrong += map(str, findings_of_python(path, source))
            for name, place in class_names(path, source):
                classes[name].append(place)
        elif file.suffix in TEXT_FILES:
            source = file.read_text()
            if path == GLOSSARY:
                source = source.partition(RETIRED)[0]
            wrong += map(str, findings_of_lines(path, source))
    if wrong:
        wrong.append(f"{len(wrong)} retired words; see {GLOSSARY}")
    wrong += repeated_classes(classes)
    print("\n".join(wrong) if wrong else "Words: as the glossary says.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
