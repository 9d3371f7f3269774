"""What one host is asked, and the script that asks it.

The script prints frames that begin with a random nonce, so that whatever a probe prints cannot be
taken for a frame. Nothing is written on the host: what runs beside the others waits in a pipe.
"""

import base64
import gzip
import re
import shlex
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, FileProbe
from hale.model.requirement import Case
from hale.standard import subjects

IDENTITY = "identity"  # the subject that says which host answered; read in every run


class ProbeRequest(Struct, frozen=True):
    """All that one host is asked: commands by "subject.name", and patterns of files."""

    host: Host
    commands: tuple[tuple[str, CommandProbe], ...]
    patterns: tuple[str, ...]


def build_request(host: Host, cases: Sequence[Case[Any]]) -> ProbeRequest:
    """What must be read on this host to judge these cases, each thing once."""
    commands: dict[str, CommandProbe] = {}
    patterns: dict[str, None] = {}
    by_subject: dict[str, list[Case[Any]]] = {IDENTITY: []}
    for case in cases:
        by_subject.setdefault(case.requirement.subject, []).append(case)
    for subject, concerned in by_subject.items():
        for probe in subjects.load_subject(subject).probes(host, concerned):
            if isinstance(probe, FileProbe):
                patterns.update(dict.fromkeys(probe.patterns))
            else:
                commands[f"{subject}.{probe.name}"] = probe
    return ProbeRequest(host, tuple(commands.items()), tuple(patterns))


def encode_for_login_shell(script: str) -> str:
    """One command line that runs it; any login shell reads that alike, fish and csh too."""
    # One argument of a command may have 128 KiB (execve(2)).
    small = gzip.compress(script.encode(), mtime=0)
    return f"echo {base64.b64encode(small).decode()} | base64 -d | gzip -d | sh"


# `problems` tells what find complained of. What is not there is only counted: of some hundred
# patterns most name nothing.
_PRELUDE = r"""
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
unset POSIXLY_CORRECT GREP_OPTIONS GREP_COLORS
read -r N </proc/sys/kernel/random/uuid || exit
printf '%s\n' $N
T=; command -v timeout >/dev/null && T=1
run() {
  printf '%s C %s\n' $N "$1"
  { e=$(${T:+timeout -k 1 "$2"} sh -c "$3" </dev/null 2>&1 >&3 3>&-); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
quick() {
  d=
  if [ "$T" ]; then
    { d=$(printf '%s\n' $N | timeout -k 1 3 sh -c "$Q" sh "$@" 3>&1 >&4 4>&-); } 4>&1
  fi
  shift $((${#d} * 3))
  while [ $# -gt 2 ]; do run "$1" "$2" "$3"; shift 3; done
}
# By $( ) it tells quick how many are done; a TERM ends it between two frames. Each command has
# the shell of a $( ): starting another program takes twice as long.
Q='
read -r N
exec </dev/null
trap "exit 124" TERM
while [ $# -gt 2 ]; do
  printf "%s C %s\n" $N "$1"
  { e=$(N=; eval "$3" 2>&1 >&4 3>&- 4>&-); r=$?; } 4>&1
  printf . >&3
  printf "%s S %s\n%s" $N $r "$e"
  shift 3
done'
problems() {
  n=0 f= IFS='
'
  set -f
  for l in $e; do
    case $l in
    *': No such file or directory' | *': Not a directory') n=$((n+1)) ;;
    *) f="$f$l
" ;;
    esac
  done
  unset IFS
  set +f
  printf '%s S %s\n%s\n%s' $N $r $n "$f"
}
folders() {
  printf '%s H\n' $N
  { e=$(find -H "$@" -maxdepth 1 -false 2>&1 >&3); r=$?; } 3>&1
  problems
}
list() {
  printf '%s L %s\n' $N $#
  { e=$(find "$@" -maxdepth 0 -printf '%p\0%y\0%Y\0%l\0%C@\0%T@\0' \
        \( -readable -printf 'r\0' -o -printf '-\0' \) 2>&1 >&3); r=$?; } 3>&1
  problems
}
links() {
  printf '%s M\n' $N
  [ $# = 0 ] || find -L "$@" -maxdepth 0 -xtype l -printf '%p\0%C@\0%T@\0' 2>/dev/null
}
lines() {
  printf '%s G\n' $N
  printf '%s\0' "$@" ""
  { e=$(grep -anHZ '' "$@" 2>&1 >&3); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
"""


def request_script(question: ProbeRequest, token: str) -> str:
    """The whole script in POSIX sh; between two lines `token` it prints what answer.unpacked reads.

    That is a line NONCE, then frames that begin with NONCE: `H` folders, `L` list, `M` links,
    `G` lines, `C` a command, `S` how one of these ended, `Z` the end. The nonce is the host's
    own, so that no process list shows it while a probe runs.
    """
    quick = " ".join(_words(name, c) for name, c in question.commands if not c.slow)
    body = "\n".join([*_files(question.patterns), f"quick {quick}"])
    inner = f"{{\n{body}\n}} </dev/null"
    for name, slow in question.commands:
        if slow.slow:  # its output waits in the pipe until the others are done
            inner = f"{{ run {_words(name, slow)}; }} | {{\n{inner}\ncat\n}}"
    end = "printf '%s Z %s\\n' $N \"$(date +%s.%N)\""
    return f"echo {token}\n{{{_PRELUDE}{inner}\n{end}\n}} | gzip -1c | base64\necho {token}\n"


def _words(name: str, command: CommandProbe) -> str:
    return f"{shlex.quote(name)} {command.timeout:g} {shlex.quote(command.script)}"


def _files(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return []
    return [
        # Without any, find would search where we are.
        *_arguments(["/dev/null", *_searched(patterns)]),
        'folders "$@"',
        # A pattern that matches nothing stays as it is: find says that there is no such file.
        *_arguments(patterns),
        'list "$@"',
        # Only regular files are opened: a FIFO would hang, a device may act. `w` names them by
        # their numbers, `l` links. The line of the last one shows that grep works, and got there.
        "i=0 w= l=",
        "for p; do",
        '  i=$((i+1)) v=" \\"\\${$i}\\""',
        '  if [ -L "$p" ]; then l=$l$v; fi',
        '  if [ -f "$p" ]; then w=$w$v; fi',
        "done",
        'eval "links $l"',
        f'eval "lines $w {SENTINEL_FILE}"',
    ]


def _arguments(patterns: Sequence[str]) -> list[str]:
    """Set $@ to what the patterns match; nothing twice where /lib is but a name of /usr/lib."""
    known = frozenset(patterns)
    once: list[str] = []
    again: list[str] = []
    for pattern in patterns:
        twin = pattern.startswith("/lib/") and f"/usr{pattern}" in known
        (again if twin else once).append(_shell_pattern(pattern))
    lines = [f"set -- {' '.join(once)}"]
    if again:
        lines.append(f'[ /lib -ef /usr/lib ] 2>/dev/null || set -- "$@" {" ".join(again)}')
    return lines


def _searched(patterns: Sequence[str]) -> list[str]:
    """The folders that must be searchable, else a pattern's matches are not all there.

    For a path without wildcards find itself says what became of it.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        parts = pattern.split("/")
        for depth in range(2, len(parts)):
            if any(_WILD.search(part) for part in parts[1 : depth + 1]):
                found["/".join(parts[:depth])] = None
    return list(found)


SENTINEL_FILE = "/proc/sys/kernel/random/uuid"  # the script has read it before
_WILD = re.compile(r"[*?]|\[[^]]*\]")


def _shell_pattern(pattern: str) -> str:
    """Everything quoted but the wildcards."""
    parts = re.split(f"({_WILD.pattern})", pattern)
    return "".join(p if i % 2 else (shlex.quote(p) if p else "") for i, p in enumerate(parts))
