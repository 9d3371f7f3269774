"""Keeping: what must hold before a step is done, and what is kept of what is there.

All steps of a host are kept by one script. A program costs more than all that the shell does by
itself, so what many steps need, one program does for all of them.
"""

import base64
import re
import shlex
from collections.abc import Iterable, Iterator

from hale.apply.prepared import HOME, RUNS, PreparedStep
from hale.apply.shell import ALREADY, LINK_NOW, PRELUDE, ROOM, SWAP_LINE, TARGET, UNIT, given
from hale.model.change import (
    FileEdit,
    KernelValueChange,
    ModuleChange,
    Remedy,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitChange,
)
from hale.plan import plan
from hale.plan.plan import ABSENT

# Runs each step's script in a shell of its own, and says how it ended.
BACKUP_PRELUDE = f"""\
{PRELUDE}
set +e
umask 077
nl='
'
sums= flags=
# Of all files at once, where they are no links: a program for each would take most of the time.
look_at() {{
  for p; do
    shift
    [ -L "$p" ] || [ ! -f "$p" ] || set -- "$@" "$p"
  done
  [ $# -gt 0 ] || return
  sums=$nl$(sha256sum -- "$@" 2>/dev/null)$nl
  flags=$nl$(lsattr -d -- "$@" 2>/dev/null)$nl
}}
sha() {{
  case $sums in
  *"  $1$nl"*) sum=${{sums%%"  $1$nl"*}}; sum=${{sum##*"$nl"}} ;;
  *) sha_of "$1" ;;
  esac
}}
attributes() {{
  case $flags in
  *" $1$nl"*) found=${{flags%%" $1$nl"*}}; found=${{found##*"$nl"}} ;;
  *) found=$(lsattr -d -- "$1" 2>/dev/null) || found= ;;
  esac
}}
unused=
folders() {{ mkdir -p -- "$@" 2>/dev/null; }}  # where it cannot, the step says why
folder() {{ [ -d "$d" ] || mkdir -p -- "$d"; }}
[ ! -e {HOME} ] || [ -d {HOME} ] || {{ echo "{HOME} is no folder" >&2; exit 1; }}
keep() {{ {{ e=$(set -e; eval "$1" </dev/null 2>&1 >&3 3>&-); r=$?; }} 3>&1; }}
stage() {{
  [ $r -eq 0 ] || return 0
  printf %s "$2" 2>/dev/null >"$1/new" || e=$(printf %s "$2" | cat 2>&1 >"$1/new") || r=1
}}
stage_bytes() {{ [ $r -ne 0 ] || e=$(base64 -d 2>&1 >"$1/new") || r=1; }}
told() {{
  [ $r -eq 0 ] || unused="$unused $1"
  printf 'end %s %s\\n' $r "${{e:+$(printf %s "$e" | base64 -w0)}}"
}}
"""


_KEEP_FILE = f"""\
{TARGET}
sha "$t"
now=$sum
[ "$now" != "$after" ] || exit {ALREADY}
if [ "$now" != "$before" ]; then
  [ -n "$now" ] || moved "$p is gone; its SHA-256 was $before"
  [ -n "$before" ] || moved "$p is there now; it was not"
  moved "$p has other bytes: their SHA-256 is $now and was $before"
fi
attributes "$t"
case ${{found%% *}} in *[ia]*) echo "$t: Operation not permitted" >&2; exit 1;; esac
folder
if [ -n "$now" ]; then
  cp --preserve=all --remove-destination -- "$t" "$d/original"
else
  f=${{t%/*}}
  while [ ! -e "$f/" ]; do echo "folder $f"; f=${{f%/*}}; done
fi
"""

_KEEP_LINK = f"""\
{LINK_NOW}
[ "$now" != "$after" ] || exit {ALREADY}
[ "$now" = "$before" ] || moved "$p: expected $before, found $now"
folder
printf '%s\\n' "$now" >"$d/link"
f=${{p%/*}}
while [ ! -e "$f/" ]; do echo "folder $f"; f=${{f%/*}}; done
"""

_KEEP_UNIT = f"""\
{UNIT}
look
[ "$loaded" != not-found ] || moved "there is no unit $unit"
! is || exit {ALREADY}
if [ "$verb" = disable ]; then [ -z "$want" ] || [ "$want" = "$enabled" ]
else [ -z "$want" ] || [ "$want" = "$active" ]; fi ||
  moved "$unit is $active, $enabled; it was $want"
folder
links >"$d/links"
echo "$entered" >"$d/began"
"""

_KEEP_VALUE = f"""\
[ -e "$p" ] || moved "$p is gone"
value "$p"
[ "$value" != "$after" ] || exit {ALREADY}
[ "$value" = "$before" ] || moved "$p is $value and no longer $before"
folder
[ -z "$follow" ] || values $follow | while read -r f value; do
  [ "$value" = "$before" ] || echo "was $f $value"
done
values $keep >"$d/values"
"""

_KEEP_MODULE = f"""\
there() {{ [ -d "/sys/module/$name" ]; }}
if [ "$load" = 1 ]; then ! there || exit {ALREADY}; else there || exit {ALREADY}; fi
folder
"""

_KEEP_SWAPOFF = f"""\
{SWAP_LINE}
{ROOM}
line=$(swap)
[ -n "$line" ] || exit {ALREADY}
room
folder
echo "priority ${{line#* }}"
"""

_KEEP_SWAPON = f"""\
{SWAP_LINE}
[ -z "$(swap)" ] || exit {ALREADY}
folder
"""


_KEEP: dict[type, str] = {
    FileEdit: _KEEP_FILE,
    RestoreFile: _KEEP_FILE,
    SymlinkChange: _KEEP_LINK,
    UnitChange: _KEEP_UNIT,
    KernelValueChange: _KEEP_VALUE,
    ModuleChange: _KEEP_MODULE,
    SwapOff: _KEEP_SWAPOFF,
    SwapOn: _KEEP_SWAPON,
}


def begin(steps: Iterable[PreparedStep]) -> str:
    """The lines before the first step's: the folders, and a look at all files to be changed."""
    folders = [shlex.quote(kept.folder) for kept in steps]
    changes = (kept.step.change for kept in steps)
    paths = [shlex.quote(c.path) for c in changes if isinstance(c, FileEdit | RestoreFile)]
    return f"{BACKUP_PRELUDE}folders {' '.join(folders)}\nlook_at {' '.join(paths)}\n"


def after(change: Remedy, content: bytes | None) -> str:
    """The SHA-256 of the file's bytes as the step leaves them; ABSENT for anything else."""
    if isinstance(change, RestoreFile):
        return change.sha256
    return ABSENT if content is None else plan.sha256(content)


def lines(kept: PreparedStep, content: bytes | None) -> Iterator[str]:
    """Lines for the keeper: the step's own script, and what it is to stage."""
    folder = shlex.quote(kept.folder)
    script = f"d={folder}\n{given(kept)}{_KEEP[type(kept.step.change)]}"
    yield f"keep {shlex.quote(script)}\n"
    if content is not None:
        yield _staged(folder, content)
    yield f"told {folder}\n"


def _staged(folder: str, content: bytes) -> str:
    if _TEXT.fullmatch(content):
        return f"stage {folder} {shlex.quote(content.decode())}\n"
    return f"stage_bytes {folder} <<'END'\n{base64.encodebytes(content).decode()}END\n"


_TEXT = re.compile(rb"[\t\n\r -~]*")  # what every shell takes as it is


def end(run: str) -> str:
    """The lines after the last step's: the SHA-256 of every original, with its path; then all
    that was kept is on disk, with its folders."""
    run = shlex.quote(run)
    return f"""\
[ -z "$unused" ] || rmdir -p -- $unused 2>/dev/null
set -- {run}/*/original
[ ! -e "$1" ] || sha256sum -- "$@" || exit
[ ! -e {run} ] || {{ find {run} -exec sync {{}} + && sync {RUNS} {HOME}; }}
"""
