"""Shell of more than three lines is a `.sh` file, where shellcheck reads it, not a Python string.

    python -m lint.shell

Lines of a string that are only what is formatted into it do not count. Where a script disables a
check of shellcheck, the line says why.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parent.parent
SOURCES = ("hale", "facts", "remediate", "checks", "lab")
MOST_LINES = 3
# What other texts (unit files, help) do not have twice: how a line of shell begins, and expansions,
# lists and redirections in it. Names of variables that are not of systemd have small letters.
_COMMANDS = (
    r"set -|if \[|for \w|while |until |case |fi$|done$|esac$|exit\b|return\b|exec |echo |printf |"
    r"export |trap |read |cd |cat |cp |mv |rm |ln |mkdir |chmod |ip (addr|address|link|route) |"
    r"systemctl |apt-get |dnf |curl |sed |grep |kill "
)
_SHELL = re.compile(
    rf'^\s*({_COMMANDS})|\$\(|\$\{{?[a-z0-9@?#]|\|\||&&|;\s*(do|then)\b|>\s*(/|&\d|"\$)'
)
_UNEXPLAINED = re.compile(r"#\s*shellcheck disable=\S+\s*")
_TEXTS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def long_scripts(source: str) -> Iterator[tuple[int, int]]:
    """The line number of each string of shell, and its number of lines, if they are too many."""
    tree = ast.parse(source)
    skipped = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, _TEXTS) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):  # from the outside: an f-string comes before its parts
        if id(node) in skipped:
            continue
        text = ""
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.Constant)]
            skipped |= set(map(id, parts))
            text = "".join(str(part.value) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        lines = sum(bool(line.strip()) for line in text.splitlines())
        if isinstance(node, ast.expr) and lines > MOST_LINES and _is_shell(text):
            yield node.lineno, lines


def _is_shell(text: str) -> bool:
    """Whether two lines of it are: a spec file of rpm may have one."""
    return sum(bool(_SHELL.search(line)) for line in text.splitlines()) > 1


def unexplained(script: str) -> Iterator[int]:
    """The number of each line that disables a check without a reason."""
    for number, line in enumerate(script.splitlines(), 1):
        if _UNEXPLAINED.fullmatch(line.strip()):
            yield number


def main() -> int:
    """Print the strings that should be scripts and the disabled checks without a reason; the exit
    status is 1 if there are any."""
    files = (path for room in SOURCES for path in sorted((TREE / room).rglob("*.py")))
    found = [
        f"{path.relative_to(TREE)}:{line}: {lines} lines of shell in a string: make it a .sh file"
        " beside the module (hale.shell.script_with)"
        for path in files
        for line, lines in long_scripts(path.read_text(encoding="utf-8"))
    ]
    scripts = (path for room in SOURCES for path in sorted((TREE / room).rglob("*.sh")))
    found += [
        f"{path.relative_to(TREE)}:{line}: say why: `# shellcheck disable=CODE  # reason`"
        for path in scripts
        for line in unexplained(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
