# `unseen PATH...` remembers in $denied which of these files and folders this user cannot read, and
# for `FOLDER/*`, a pattern without a match, whether the folder can be listed. A path that an
# unsearchable folder hides counts by that folder. `end_unseen` ends the probe where there is one.
# A folder of two slashes has programs whose names are not read (`executables`).
denied='' odd=''
unseen() {
  for at; do
    case $at in //*) odd=${at#/}; continue ;; esac
    listed='' steps=0
    case $at in *'*'*) at=${at%%'*'*} listed=1; at=${at%/*} ;; esac
    wanted_at=$at
    while [ -n "$at" ] && [ ! -e "$at" ] && [ $steps -lt 40 ]; do
      steps=$((steps + 1))
      if [ -h "$at" ]; then
        to=$(readlink "$at") || break
        case $to in /*) at=$to ;; *) at=${at%/*}/$to ;; esac
        wanted_at=$at
      else
        at=${at%/*} listed=
      fi
    done
    [ -e "$at" ] || continue
    if [ ! -d "$at" ]; then [ ! -r "$at" ]
    elif [ ! -x "$at" ]; then :
    else [ ! -r "$at" ] && { [ -n "$listed" ] || [ "$at" = "$wanted_at" ]; }
    fi || continue
    case " $denied " in *" $at "*) ;; *) denied="$denied $at" ;; esac
  done
}
# executables FILE...: those that root may execute, whoever runs this. Of a path that needs quotes, its
# folder, with two slashes, where it is not run-parts that would pass it over.
executables() {
  [ $# -eq 0 ] || find -L "$@" -prune -type f \( -perm -100 -o -perm -010 -o -perm -001 \) \
    \( ! -path '*[!A-Za-z0-9@:_./+-]*' -print -o ! -path '*/cron.*' ! -path '*/if-*up.d/*' ! -name '*~' \
      -printf '/%h\n' \) 2>/dev/null
}
end_unseen() {
  if [ -n "$odd" ]; then
    echo "$odd has a program whose name has blanks or other special characters: it is not read" >&2
    exit 3
  fi
  [ -n "$denied" ] || return 0
  # shellcheck disable=SC2086  # words, for their number
  set -- $denied
  more=
  [ $# -eq 1 ] || more=" (nor are $(($# - 1)) more)"
  echo "$1 is not readable by this user$more: audit as root (ansible_become=true)" >&2
  exit 3
}
