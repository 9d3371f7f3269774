# private USER PATH...: prints `private PATH` for each file or folder of these that this user, a daemon's
# with a group of its name, cannot read. A path that does not exist is passed over.
private() {
  user=$1; shift
  for path; do
    shift
    [ ! -e "$path" ] || set -- "$@" "$path"
  done
  [ $# -eq 0 ] || find -L "$@" -prune ! -perm -004 ! '(' -perm -040 -group "$user" ')' \
    ! '(' -perm -400 -user "$user" ')' -printf 'private %p\n' 2>/dev/null || true
}
