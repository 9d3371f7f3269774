"""Paths as the commands of a script mean them: after cd, and from variables. Not a subject.

`cd /proc/sys/net/ipv4; echo 0 >ip_forward` names no path that a reader of single lines could know.
So what a script writes in a folder below ROOTS is given its absolute path: the files of
redirections, and the words of programs that write files. A folder holds from its cd, or its unit's
WorkingDirectory=, on to the next one; a cd in a subshell does so too.

Sources: sh(1), "Redirection" and cd; systemd.exec(5), WorkingDirectory=.
"""

import re
from collections.abc import Iterable, Iterator
from posixpath import join, normpath

from facts.parsers.blanks import split_words
from hale.model import budgets
from hale.model.evidence import Allowance, Unreadable

ROOTS = ("/etc", "/proc/sys")
# Programs that write into files that their words name.
WRITERS = frozenset(
    split_words(
        "tee sed perl cp mv ln install rsync rm unlink dd truncate patch ed ex awk gawk mawk cat"
        " crudini augtool tar touch"
    )
)
# A line that may change the folder, or that gives a variable one: extended, for a host's grep.
FOLDERS = (
    "(^|[^A-Za-z0-9_.-])(cd|pushd)[[:blank:]]+(-[A-Za-z-]+[[:blank:]]+)*[\"']?([/$.]|[a-z])"
    "|(^|[[:blank:];])([A-Z_]+|[a-z_]+|WorkingDirectory)[[:blank:]]*=[[:blank:]]*-?[\"']?/(etc|proc/sys)"
)
# Possessive: a name of 64 KiB of "../" has as many ways to be parted as it has parts.
_PLAIN = r"(?:\.\.?/)*+[\w.*][\w.*@+-]*+(?:/[\w.*@+-]++)*+"
_CHANGE = re.compile(
    r"(?:^|[^\w.-])(?:cd|pushd)[ \t]+(?:-[\w-]+[ \t]+)*[\"']?([^\s\"';&|()]+)", re.ASCII
)
_WORKING = re.compile(r"[ \t]*WorkingDirectory[ \t]*=[ \t]*-?(/\S*)", re.ASCII)
_VARIABLE = re.compile(
    rf"(?:^|[\s;])([A-Za-z_]\w*)=[\"']?((?:{'|'.join(ROOTS)})(?![\w.-])[^\s\"';|&]*)", re.ASCII
)
_PARTS = re.compile(r"(&&|\|\||;|\||(?<![<>])&(?!>))")
_INTO = re.compile(rf"(?<!2)(>{{1,2}}\|?[ \t]*[\"']?)({_PLAIN})", re.ASCII)
_WORDS = re.compile(rf"(?<=[ \t])(of=)?([\"']?)({_PLAIN})(?=[\"'\s)}}]|$)", re.ASCII)
_LOOP = re.compile(r"\bfor[ \t]+(\w+)[ \t]+in[ \t]+[\"']?[*?\[]", re.ASCII)
_MOST_VARIABLES = 64
_PATH_MAX = 4096
_BEFORE = ("sudo", "exec", "command", "do", "then", "else", "if", "!", "{", "(", "nice", "env")


def allowance() -> Allowance:
    """What all files of one answer may be made longer by."""
    return Allowance(budgets.COMMAND_CHARACTERS, "characters that variables and cd stand for")


def absolute(lines: Iterable[str], allowed: Allowance) -> Iterator[str]:
    """The lines of one file, in their order, with the paths below ROOTS written out.

    Raises Unreadable where that makes them too long.
    """
    folder = ""
    values: dict[str, str] = {}
    for line in lines:
        if found := _WORKING.match(line):
            folder = _normal(found[1])
        text = _expanded(line, values, allowed)
        if len(values) < _MOST_VARIABLES:
            values.update(_VARIABLE.findall(text))
        parts = []
        for part in _PARTS.split(text):
            part = _expanded(part, values, allowed)
            if change := _CHANGE.search(part):
                folder = _normal(join(folder or "/", change[1]))
            elif _below(folder):
                if loop := _LOOP.search(part):
                    values[loop[1]] = f"{folder}/*"
                part = _in_folder(part, folder, allowed)
            parts.append(part)
        yield _fit("".join(parts))


def _normal(path: str) -> str:
    """The path, or none where no folder can have it: there, cd fails."""
    return normpath(path) if len(path) < _PATH_MAX else ""


def _below(folder: str) -> bool:
    return any(folder == root or folder.startswith(f"{root}/") for root in ROOTS)


def _in_folder(part: str, folder: str, allowed: Allowance) -> str:
    """A simple command with the names of files in this folder made absolute."""

    def path(name: str) -> str:
        allowed.spend(len(folder))
        return normpath(join(folder, name))

    part = _INTO.sub(lambda m: m[1] + path(m[2]), part)
    at = 0
    for word in re.finditer(r"[^\s\"']+", part, re.ASCII):
        name = word[0].rpartition("/")[2]
        if name in WRITERS:
            at = word.end()
            break
        if name not in _BEFORE and "=" not in name and not name.startswith("-"):
            return part
    if not at:
        return part
    return part[:at] + _WORDS.sub(lambda m: f"{m[1] or ''}{m[2]}{path(m[3])}", part[at:])


def _expanded(text: str, values: dict[str, str], allowed: Allowance) -> str:
    if "$" not in text:
        return text
    for name, value in values.items():
        if uses := text.count(f"${name}") + text.count(f"${{{name}}}"):
            allowed.spend(uses * len(value))
            plain = value.replace("\\", r"\\")
            text = re.sub(rf"\$(?:{{{name}}}|{name}(?!\w))", plain, text, flags=re.ASCII)
    return _fit(text)


def _fit(text: str) -> str:
    """The text, if it is no longer than a line of a file may be. Raises Unreadable."""
    if len(text) > budgets.LINE_BYTES:
        raise Unreadable("with its variables and folders, a boot's command is longer than 64 KiB")
    return text
