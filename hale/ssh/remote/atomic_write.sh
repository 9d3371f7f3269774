# Files are written only where root alone can change what is on the way: then the path leads to the
# same place until the write is over, and the temporary name beside it is Hale's. The sources:
# path_resolution(7), rename(2), and open(2), whose O_EXCL mktemp(1) uses; sh has no openat(2).

# next_part NAME: takes the first part of the path in the variable NAME; sets p_part.
next_part() {
  eval "p_rest=\$$1"
  p_part=
  while [ -n "$p_rest" ]; do
    p_part=${p_rest%%/*}
    case $p_rest in */*) p_rest=${p_rest#*/} ;; *) p_rest= ;; esac
    case $p_part in '' | .) p_part= ;; *) break ;; esac
  done
  eval "$1=\$p_rest"
}
# require_trusted PATH UID MODE USER: a folder must be root's, or of who runs this, and closed to
# others. In a sticky one (p_sticky is set by it) that holds for whatever is next on the way.
require_trusted() {
  case $3 in d*) ;; *) [ -n "$p_sticky" ] || return 0 ;; esac
  [ "$2" = 0 ] || [ "$2" = "$(id -u)" ] || {
    echo "$1 belongs to $4 (uid $2), who could lead this write elsewhere: make it root's" >&2
    return 1
  }
  p_sticky=
  case $3 in
  d????????[tT]*) ;;
  d????w* | d???????w*)
    echo "others than root may write to $1 ($3), and could lead this write elsewhere: see" \
      "\`getfacl $1\`, and \`chmod go-w $1\`" >&2
    return 1
    ;;
  esac
  case $3 in d????w???[tT]* | d???????w[tT]*) p_sticky=1 ;; esac
}
# resolve PATH [nofollow]: sets target, the path without links on the way; its last part is followed
# too, unless `nofollow`. Sets names, the number of its names (hard links); empty if it is not there.
# Fails, and says why, where others than root may write on the way.
resolve() {
  p_path=$1 p_last=${2-} p_todo=$1 p_hops=0 p_sticky= p_there=1 target= names=
  case $1 in /*[!/]*) ;; *) echo "$1: not the absolute path of a file" >&2; return 1 ;; esac
  while [ -n "$p_todo" ]; do
    # The folder that was reached, and all that follow, up to a `..`.
    set -- "${target:-/}"
    p_at=$target p_ahead=$p_todo
    while next_part p_ahead; [ -n "$p_part" ] && [ "$p_part" != .. ]; do
      p_at=$p_at/$p_part
      set -- "$@" "$p_at"
    done
    p_first=1
    p_found=$(stat -c '%u %h %A %U' -- "$@" 2>/dev/null) || :
    while read -r p_uid p_count p_mode p_user; do
      [ -n "$p_uid" ] || break
      [ -n "$p_first" ] || next_part p_todo
      require_trusted "$1" "$p_uid" "$p_mode" "$p_user" || return 1
      case $p_first$p_mode in
      l*)
        if [ -n "$p_todo" ] || [ -z "$p_last" ]; then
          p_hops=$((p_hops + 1))
          [ "$p_hops" -le 40 ] || { echo "$p_path: too many links" >&2; return 1; }
          p_link=$(readlink -- "$1")
          case $p_link in /*) target= ;; *) target=${1%/*} ;; esac
          p_todo=$p_link/$p_todo
          p_todo=${p_todo%/}
          continue 2
        fi
        ;;
      esac
      target=${1%/} names=$p_count p_first=
      shift
    done <<END
$p_found
END
    [ -z "$p_first" ] || { echo "$p_path: $1 cannot be read" >&2; return 1; }
    [ $# = 0 ] || p_there= names=
    while [ $# -gt 0 ]; do next_part p_todo; target=$target/$p_part; shift; done
    next_part p_todo
    [ -z "$p_part" ] || {
      [ -n "$p_there" ] || { echo "$p_path: No such file or directory" >&2; return 1; }
      target=${target%/*}
    }
  done
  [ -z "$p_sticky" ] || [ -n "$names" ] || {
    echo "all users may write to ${target%/*}, where $p_path is to be: no place for it" >&2
    return 1
  }
}
# require_one_name: of the file that `resolve` found. A file that takes its place has one name.
require_one_name() {
  [ "${names:-1}" = 1 ] || [ -d "$target" ] || {
    echo "$target has $names names (hard links), and a write would part it from the others: see" \
      "\`find / -xdev -samefile $target\`, and remove those that are not needed" >&2
    return 1
  }
}
# new_beside FILE: sets new, an empty file of mode 0600 beside it, which is of no other process.
new_beside() { new=$(mktemp -- "${1%/*}/.hale-new.XXXXXXXXXX"); }
# remove_new_beside FILE: what a run that was interrupted has left there.
remove_new_beside() {
  for p_new in "${1%/*}"/.hale-new*; do
    [ ! -e "$p_new" ] && [ ! -L "$p_new" ] || rm -f -- "$p_new" || :
  done
}
# copy_file FROM FILE: FILE becomes a copy of FROM, attributes too; a link there is replaced.
copy_file() {
  resolve "$2" nofollow || return
  mkdir -p -- "${target%/*}" || return
  remove_new_beside "$target"
  new_beside "$target" || return
  cp -a --remove-destination -- "$1" "$new" || { rm -f -- "$new"; return 1; }
  replace_file "$new" "$target"
}
# replace_file NEW FILE: NEW, on the same file system, takes FILE's place, and both are on disk.
replace_file() {
  sync "$1" && mv -fT -- "$1" "$2" && sync "${2%/*}"
}
