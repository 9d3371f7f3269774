# listeners PORT PID...: prints each socket that listens on the port: `socket ADDRESS:PORT own` for
# these processes, otherwise its user and process, `socket ADDRESS:PORT UID PID NAME`. ADDRESS and
# PORT are those of /proc/net/tcp.
listeners() {
  hex=$(printf %04X "$1"); shift
  for pid; do
    ls "/proc/$pid/fd" >/dev/null 2>&1 || [ ! -d "/proc/$pid" ] ||
      hidden "/proc/$pid/fd is not readable"
  done
  state='[0-9A-F:]+ 0A [^ ]+ [^ ]+ [^ ]+'
  sed -nE "s/^ *[0-9]+: ([0-9A-F]+:$hex) $state +([0-9]+) +[0-9]+ ([0-9]+) .*/\1 \2 \3/p" \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r at uid inode; do
    socket="socket:\[$inode\]"
    for pid; do
      # shellcheck disable=SC2010,SC2012  # a link's target, of no file
      ls -l "/proc/$pid/fd" 2>/dev/null | grep -q " -> $socket\$" && {
        echo "socket $at own"; continue 2; }
    done
    pid=$(find /proc/[0-9]*/fd -lname "$socket" 2>/dev/null | head -n 1)
    pid=${pid#/proc/}; pid=${pid%%/*}
    name=$(cat "/proc/${pid:-none}/comm" 2>/dev/null)
    echo "socket $at $uid ${pid:-unknown} $(flat "$name")"
  done
}
