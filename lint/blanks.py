"""Readers of facts/ part words and lines where the programs of a host do (facts/parsers/blanks.py).

    python -m lint.blanks

Lists what knows the white space, digits and letters of Unicode: split() and strip() without the
characters, splitlines(), isspace(), isdecimal() and their like, and regular expressions with `\\s`,
`\\w`, `\\d` or `\\b`, or without case, that lack re.ASCII.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parent.parent
SOURCES = ("facts",)
# The module that has what is to be used instead.
OWN = TREE / "facts" / "parsers" / "blanks.py"
INSTEAD = {
    "split": "split_words()",
    "rsplit": "split_words()",
    "strip": "strip(BLANKS)",
    "lstrip": "lstrip(BLANKS)",
    "rstrip": "rstrip(BLANKS)",
    "splitlines": "split_lines()",
    "isspace": "`in BLANKS`",
    "isdecimal": "is_decimal()",
    "isdigit": "is_decimal()",
    "isnumeric": "is_decimal()",
}
_CUTS = ("split", "rsplit", "strip", "lstrip", "rstrip")
_EXPRESSIONS = (
    "compile", "findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn",
)  # fmt: skip
_CLASSES = re.compile(r"\\[swdb]", re.IGNORECASE | re.ASCII)
_ASCII, _NO_CASE = ("A", "ASCII"), ("I", "IGNORECASE")


def of_unicode(source: str) -> Iterator[tuple[int, str]]:
    """The line number of each such call, and what to use instead."""
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        call = calls.get(id(node))
        if isinstance(node.value, ast.Name) and node.value.id == "re":
            if call and node.attr in _EXPRESSIONS and _lacks_ascii(call):
                yield node.lineno, f"give re.{node.attr}() the flag re.ASCII"
        elif node.attr in INSTEAD and not (call and node.attr in _CUTS and _says_where(call)):
            yield node.lineno, f"use {INSTEAD[node.attr]} instead of {node.attr}()"


def _says_where(call: ast.Call) -> bool:
    """Whether the first argument says at which characters."""
    given = [*call.args[:1], *(k.value for k in call.keywords if k.arg in ("sep", "chars"))]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)


def _lacks_ascii(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    flags = {n.attr for arg in given for n in ast.walk(arg) if isinstance(n, ast.Attribute)}
    texts = [
        n.value
        for arg in call.args[:1]
        for n in ast.walk(arg)
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    knows = any(map(_CLASSES.search, texts)) or not flags.isdisjoint(_NO_CASE)
    return knows and flags.isdisjoint(_ASCII)


def main() -> int:
    """Print the calls; the exit status is 1 if there are any."""
    files = (p for room in SOURCES for p in sorted((TREE / room).rglob("*.py")) if p != OWN)
    found = [
        f"{path.relative_to(TREE)}:{line}: {what} (facts/parsers/blanks.py)"
        for path in files
        for line, what in of_unicode(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
