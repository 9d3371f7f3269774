"""Shell text that keeping a step and doing it have in common.

POSIX sh, `set -eu`. A script ends with ALREADY where there is nothing to do, with MOVED where a
precondition does not hold, and with NOT_DONE where a step that is settled was not done.
"""

import shlex
from collections.abc import Iterable

from hale.apply.prepared import PreparedStep
from hale.model.change import (
    FileEdit,
    KernelValueChange,
    ModuleChange,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitChange,
)

ALREADY, MOVED, NOT_DONE = 40, 41, 42

# `values`: of the first line of each file its name and value, all by one program; a shell of its
# own for each would take most of a step's time.
PRELUDE = f"""\
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
settle=
moved() {{ echo "$*" >&2; exit {MOVED}; }}
sha_of() {{
  sum=
  [ ! -e "$1" ] && [ ! -L "$1" ] || {{ sum=$(sha256sum <"$1"); sum=${{sum%% *}}; }}
}}
sha() {{ sha_of "$1"; }}
undone() {{ [ -z "$settle" ] || exit {NOT_DONE}; }}
value() {{ set -f; set -- $(cat "$1"); set +f; value=$*; }}
values() {{
  [ $# -gt 0 ] || return 0
  grep -sH '' "$@" | while IFS=: read -r name text; do
    set -f; set -- $text; set +f
    printf '%s %s\\n' "$name" "$*"
  done
}}
"""


# `t`: the file behind `p`.
TARGET = """\
t=$p
if [ -L "$p" ]; then
  t=$(readlink -e -- "$p") || moved "$p is a link that leads nowhere"
fi
[ ! -e "$t" ] || [ -f "$t" ] || moved "$p is no file"
"""

LINK_NOW = """\
if [ -L "$p" ]; then now="link $(readlink -- "$p")"
elif [ -e "$p" ]; then now="no link"
else now=nothing; fi
"""

# `look`: what systemd knows of the unit. `is`: whether it is as the verb makes it; of `disable`
# it tells without a look, so `again` spares it one.
UNIT = """\
loaded= active= enabled= entered= state=
look() {
  shown=$(systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic \
    -- "$unit")
  while IFS='=' read -r name text; do
    case $name in
    LoadState) loaded=$text;;
    ActiveState) active=$text;;
    UnitFileState) enabled=$text;;
    Active*) entered=$text;;
    esac
  done <<END
$shown
END
}
again() { [ "$verb" = disable ] || look; }
links() { find /etc/systemd/system -type l -printf '%p\\t%l\\n'; }
is() {
  case $verb in
  stop) [ "$active" = inactive ] || [ "$active" = failed ];;
  start) [ "$active" = active ];;
  disable)
    # What `show` says is as old as the last reload; of a unit that is gone nothing else says it.
    state=$(systemctl is-enabled -- "$unit" 2>/dev/null) || :
    [ -n "$state" ] || { systemctl daemon-reload && look && state=$enabled; } || return
    [ "$state" != enabled ] && [ "$state" != enabled-runtime ]
    ;;
  restart) [ -e "$d/began" ] && [ "$entered" != "$(cat "$d/began")" ];;
  esac
}
"""

SWAP_LINE = """\
swap() {
  while read -r name _ _ used priority; do
    [ "$(printf %b "$name")" != "$device" ] || { echo "$used $priority"; return; }
  done </proc/swaps
}
"""

ROOM = """\
room() {
  used=${line% *}
  free=$(sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)
  [ "$used" = 0 ] || [ "$used" -le $((free - margin)) ] ||
    moved "$used KiB are in $device, $free KiB are available, and $margin must stay free"
}
"""


def given(kept: PreparedStep) -> str:
    """The variables of a step's scripts."""
    match change := kept.step.change:
        case FileEdit(path=path):
            return _of_file(kept, path, "", ())
        case RestoreFile(path=path):
            return _of_file(kept, path, change.backup_path, change.folders)
        case SymlinkChange():
            ends = [
                "nothing" if target is None else f"link {target}"
                for target in (change.precondition, change.target)
            ]
            folders = " ".join(map(shlex.quote, change.folders))
            return assigned(p=change.path, before=ends[0], after=ends[1], folders=folders)
        case UnitChange():
            want = change.enabled if change.action == "disable" else change.active
            return assigned(unit=change.unit, verb=change.action, want=want)
        case KernelValueChange():
            return assigned(
                p=change.path,
                before=change.precondition,
                after=change.value,
                keep=" ".join(p for p in change.preserve if p != change.path),
                follow=" ".join(change.cascades_to),
                then=" ".join(word for pair in change.write_after for word in pair),
            )
        case ModuleChange():
            return assigned(name=change.name, load="1" if change.load else "0")
        case SwapOff():
            return assigned(device=change.device, margin=str(change.margin_kib))
        case SwapOn():
            return assigned(device=change.device, priority=str(change.priority))
    raise TypeError(change)


def _of_file(kept: PreparedStep, path: str, source: str, folders: Iterable[str]) -> str:
    return assigned(
        p=path,
        before=kept.before,
        after=kept.after,
        source=source,
        folders=" ".join(map(shlex.quote, folders)),
    )


def assigned(**values: str) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
