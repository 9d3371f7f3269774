# shellcheck disable=SC2016,SC2086  # code for eval and sh -c; numbers and nonces without blanks
# Functions of the script that reads a host; request.py sends them without comments,
# followed by calls.
#
# They print frames `NONCE LETTER …`; request.py names the letters. A newline stands before each: what
# masks secrets reads lines, and must not take a nonce for the end of one. N is the nonce, T is not
# empty if there is timeout(1), B is the host's uptime at the start. In each function r is an exit
# status and e the text of standard error.

LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
unset POSIXLY_CORRECT GREP_OPTIONS GREP_COLORS
read -r N </proc/sys/kernel/random/uuid || exit
printf '%s\n' $N
read -r B _ </proc/uptime || B=
T=
command -v timeout >/dev/null && T=1

# run NAME TIMEOUT SCRIPT: one command with its own watchdog.
run() {
  printf '\n%s C %s\n' $N "$1"
  { e=$(${T:+timeout -k 1 "$2"} sh -c "$3" </dev/null 2>&1 >&3 3>&-); r=$?; } 3>&1
  printf '\n%s S %s\n%s' $N $r "$e"
}

# run_batch [NAME TIMEOUT SCRIPT]...: quick commands under one watchdog of 3 s, which saves a process
# for each. It prints a dot on descriptor 3 for each command done; those it did not finish are
# run again, one by one.
run_batch() {
  d=
  if [ "$T" ]; then
    { d=$(printf '%s\n' $N | timeout -k 1 3 sh -c "$Q" sh "$@" 3>&1 >&4 4>&-); } 4>&1
  fi
  shift $((${#d} * 3))
  while [ $# -gt 2 ]; do run "$1" "$2" "$3"; shift 3; done
}

# The batch. A TERM ends it between two frames. Each command runs in the shell of a $( ): starting
# another program takes twice as long.
Q='
read -r N
exec </dev/null
trap "exit 124" TERM
while [ $# -gt 2 ]; do
printf "\n%s C %s\n" $N "$1"
{ e=$(N=; eval "$3" 2>&1 >&4 3>&- 4>&-); r=$?; } 4>&1
printf . >&3
printf "\n%s S %s\n%s" $N $r "$e"
shift 3
done'

# The status frame of find: what does not exist is only counted (of some hundred patterns most
# match nothing), all other errors are listed.
report_errors() {
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
  printf '\n%s S %s\n%s\n%s' $N $r $n "$f"
}

# check_searchable FOLDER...: only errors are of interest.
check_searchable() {
  printf '\n%s H\n' $N
  { e=$(find -H "$@" -maxdepth 1 -false 2>&1 >&3); r=$?; } 3>&1
  report_errors
}

# stat_files PATH...: path, type, type of the target, target, ctime, mtime, device, whether it is
# readable.
stat_files() {
  printf '\n%s L %s\n' $N $#
  { e=$(find "$@" -maxdepth 0 -printf '%p\0%y\0%Y\0%l\0%C@\0%T@\0%D\0' \
    \( -readable -printf 'r\0' -o -printf '-\0' \) 2>&1 >&3); r=$?; } 3>&1
  report_errors
}

# stat_link_targets LINK...: path, and ctime, mtime and device of what it leads to.
stat_link_targets() {
  printf '\n%s M\n' $N
  [ $# = 0 ] || find -L "$@" -maxdepth 0 -xtype l -printf '%p\0%C@\0%T@\0%D\0' 2>/dev/null
}

# read_files FILE...: the names, a newline, then each line with its file and number.
read_files() {
  printf '\n%s G\n' $N
  printf '%s\0' "$@" ""
  echo
  { e=$(grep -anHZ '' "$@" 2>&1 >&3); r=$?; } 3>&1
  printf '\n%s S %s\n%s' $N $r "$e"
}

# read_matches SENTINEL PATH...: the targets of links, then the lines of files. Only regular files are
# opened: a FIFO would hang, a device may have side effects. `w` lists them by argument number, `l`
# the links. The sentinel's line proves that grep works and has read all files.
read_matches() {
  s=$1 i=0 w= l=
  shift
  for p; do
    i=$((i+1)) v=" \"\${$i}\""
    if [ -L "$p" ]; then l=$l$v; fi
    if [ -f "$p" ]; then w=$w$v; fi
  done
  eval "stat_link_targets $l"
  eval "read_files $w $s"
}
