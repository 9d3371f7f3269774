"""Doing: look again, change, look whether the change is there.

With `settle=1` before it a script changes nothing, and ends with NOT_DONE where it would have to.
"""

from hale.apply.prepared import PreparedStep
from hale.apply.shell import LINK_NOW, ROOM, SWAP_LINE, TARGET, UNIT, given
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

RELOAD = "systemctl daemon-reload\n"

# `source`: the kept file to restore, with its own attributes; empty for an edit, whose new bytes
# are staged and whose attributes are those of the file that it replaces. One program looks at the
# new bytes and at the old ones, just before they are replaced.
_DO_FILE = f"""\
{TARGET}
f=${{t%/*}}
new=$f/.hale-new
moment() {{ moved "$p was changed this moment"; }}
[ ! -e "$new" ] && [ ! -L "$new" ] || rm -f -- "$new"
if [ -n "$settle" ] || [ -z "$after" ]; then
  sha "$t"
  if [ "$sum" != "$after" ]; then
    undone
    [ "$sum" = "$before" ] || moment
    rm -- "$t"
  fi
else
  [ -z "$before" ] || [ -e "$t" ] || moment
  trap '[ ! -e "$new" ] || rm -f -- "$new"' EXIT
  keep=mode,ownership,xattr
  [ ! -e /sys/fs/selinux/enforce ] || keep=$keep,context
  [ -d "$f" ] || mkdir -p -- "$f"
  if [ -n "$source" ]; then
    cp --preserve=$keep,timestamps -- "$source" "$new"
  else
    [ ! -e "$t" ] || cp --attributes-only --preserve=$keep -- "$t" "$new"
    cat "$d/new" >"$new"
  fi
  sync "$new"
  set -- "$new"
  [ ! -e "$t" ] || set -- "$new" "$t"
  {{ read -r first _; read -r second _ || second=; }} <<END
$(sha256sum -- "$@")
END
  first=${{first#\\\\}} second=${{second#\\\\}}  # where a name holds a backslash
  [ "$first" = "$after" ] || {{ echo "$new: the new bytes did not arrive" >&2; exit 1; }}
  if [ "$second" = "$after" ]; then rm -f -- "$new"
  elif [ "$second" != "$before" ]; then moment
  elif [ -n "$before" ]; then mv -fT -- "$new" "$t"
  else
    ln -T -- "$new" "$t" || moved "$p is there now; it was not"
    rm -f -- "$new"
    ! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$t"
  fi
fi
[ ! -d "$f" ] || sync "$f"
[ -n "$after" ] || eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
sha "$t"
[ "$sum" = "$after" ] || {{ echo "$p is not as it was written" >&2; exit 1; }}
"""

_DO_LINK = f"""\
{LINK_NOW}
f=${{p%/*}}
new=$f/.hale-new
[ ! -e "$new" ] && [ ! -L "$new" ] || rm -f -- "$new"
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p: expected $before, found $now"
  trap '[ ! -L "$new" ] || rm -f -- "$new"' EXIT
  [ -d "$f" ] || mkdir -p -- "$f"
  if [ "$after" = nothing ]; then
    rm -- "$p"
    eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
  elif [ "$before" = nothing ]; then ln -sT -- "${{after#link }}" "$p"
  else ln -sT -- "${{after#link }}" "$new"; mv -fT -- "$new" "$p"; fi
  [ ! -e "$f" ] || sync "$f"
fi
"""


# `disable` would reload systemd by itself, once for each unit.
_DO_UNIT = f"""\
{UNIT}
again
if ! is; then
  undone
  systemctl --quiet --no-reload "$verb" -- "$unit"
  again
  is || {{ echo "$unit is ${{state:-$active, $enabled}} after systemctl $verb" >&2; exit 1; }}
  sync /etc/systemd/system
fi
[ "$verb" != disable ] || {{ links >"$d/left"; grep -vxFf "$d/left" "$d/links" || :; }}
"""

_DO_VALUE = """\
value "$p"
if [ "$value" != "$after" ]; then
  undone
  [ "$value" = "$before" ] || moved "$p is $value and no longer $before"
  # A container may have /proc read-only and the right to sethostname(2) all the same.
  { printf '%s\\n' "$after" >"$p"; } 2>"$d/said" || {
    [ "$p" = /proc/sys/kernel/hostname ] && hostname -- "$after" || { cat "$d/said" >&2; exit 1; }
  }
fi
files=
while read -r f old; do files="$files $f"; done <"$d/values"
found=$(values $files)
while read -r f old; do
  case "
$found
" in
  *"
$f $old
"*) ;;
  *) [ ! -e "$f" ] || printf '%s\\n' "$old" >"$f" ;;
  esac
done <"$d/values"
set -- $then
while [ $# -gt 1 ]; do
  [ ! -e "$1" ] || printf '%s\\n' "$2" >"$1"
  shift 2
done
value "$p"
[ "$value" = "$after" ] || { echo "$p is $value after $after was written" >&2; exit 1; }
"""

_DO_MODULE = """\
there() { [ -d "/sys/module/$name" ]; }
if [ "$load" = 1 ]; then there || { undone; modprobe -- "$name"; there; }
elif there; then undone; modprobe -r -- "$name"; ! there; fi
"""

# What is in the devices before it has come back to memory by now.
_DO_SWAPOFF = f"""\
{SWAP_LINE}
{ROOM}
line=$(swap)
[ -z "$line" ] || {{ undone; room; swapoff -- "$device"; }}
"""

_DO_SWAPON = f"""\
{SWAP_LINE}
if [ -z "$(swap)" ]; then
  undone
  if [ "$priority" -lt 0 ]; then swapon -- "$device"; else swapon -p "$priority" -- "$device"; fi
fi
"""


_DO: dict[type, str] = {
    FileEdit: _DO_FILE,
    RestoreFile: _DO_FILE,
    SymlinkChange: _DO_LINK,
    UnitChange: _DO_UNIT,
    KernelValueChange: _DO_VALUE,
    ModuleChange: _DO_MODULE,
    SwapOff: _DO_SWAPOFF,
    SwapOn: _DO_SWAPON,
}


def apply_script(kept: PreparedStep) -> str:
    """The script that does it."""
    return given(kept) + _DO[type(kept.step.change)]
