# Backs up all steps of a host in one go: each step's script runs in a subshell of its own, and
# how it ended is reported. Forking takes most of the time, so one program reads the checksums and
# the attributes of all files.
set +e
umask 077
nl='
'
sums= flags=
# Of all files that are no links.
hash_files() {
  for p; do
    shift
    [ -L "$p" ] || [ ! -f "$p" ] || set -- "$@" "$p"
  done
  [ $# -gt 0 ] || return
  sums=$nl$(sha256sum -- "$@" 2>/dev/null)$nl
  flags=$nl$(lsattr -d -- "$@" 2>/dev/null)$nl
}
read_sha256() {
  case $sums in
  *"  $1$nl"*) sum=${sums%%"  $1$nl"*}; sum=${sum##*"$nl"} ;;
  *) compute_sha256 "$1" ;;
  esac
}
read_attributes() {
  case $flags in
  *" $1$nl"*) found=${flags%%" $1$nl"*}; found=${found##*"$nl"} ;;
  *) found=$(lsattr -d -- "$1" 2>/dev/null) || found= ;;
  esac
}
unused=
make_folders() { mkdir -p -- "$@" 2>/dev/null; }  # where it cannot, the step says why
make_step_dir() { [ -d "$step_dir" ] || mkdir -p -- "$step_dir"; }
[ ! -e "$HALE_HOME" ] || [ -d "$HALE_HOME" ] || { echo "$HALE_HOME is no folder" >&2; exit 1; }
run_backup() { { e=$(set -e; eval "$1" </dev/null 2>&1 >&3 3>&-); r=$?; } 3>&1; }
stage_file() {
  [ "$r" -eq 0 ] || return 0
  printf %s "$2" 2>/dev/null >"$1/new" || e=$(printf %s "$2" | cat 2>&1 >"$1/new") || r=1
}
stage_base64() { [ "$r" -ne 0 ] || e=$(base64 -d 2>&1 >"$1/new") || r=1; }
report_backup() {
  [ "$r" -eq 0 ] || unused="$unused $1"
  printf 'end %s %s\n' "$r" "${e:+$(printf %s "$e" | base64 -w0)}"
}
