# Given: bytes (of packets; 0: what the interface carries; route: what the route to the address does, if
# it has an MTU of its own, as routes into a tunnel have). `path ADDRESS` prints
# `path ADDRESS INTERFACE MTU direct|routed ANSWER`. ANSWER: `full` (a packet of that size comes back
# in one piece), `small` (only smaller ones do), `none`, `unasked` (ping cannot send it).
# echoes SIZE ADDRESS OPTION...: whether one comes back.
echoes() {
  size=$1; shift
  ping -q -n -M "do" -s "$size" "$@" 2>&1
}
path() {
  found=$(ip -o route get "$1" 2>/dev/null) || { echo "path $1 - 0 direct none"; return; }
  dev=$(printf '%s\n' "$found" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
  case $found in *" via "*) how=routed ;; *) how=direct ;; esac
  mtu=$(cat "/sys/class/net/$dev/mtu")
  case $bytes,$found in
    # What the kernel has learned of the path expires; a route's own does not.
    route,*" expires "*) ;;
    route,*" mtu "*) mtu=$(printf '%s\n' "$found" | sed -n 's/.* mtu \(lock \)\{0,1\}\([0-9]*\).*/\2/p') ;;
  esac
  case $bytes in 0 | route) size=$mtu ;; *) size=$bytes ;; esac
  case $1 in *:*) size=$((size - 48)) ;; *) size=$((size - 28)) ;; esac
  if out=$(echoes "$size" -c 1 -W 1 "$1"); then
    answer=full
  else
    case $out in
      *transmitted*)
        # Both at once, and several of each: one packet may get lost.
        echoes 56 -c 3 -i 0.5 -W 1 "$1" >/dev/null & other=$!
        if echoes "$size" -c 3 -i 0.5 -W 1 "$1" >/dev/null; then answer=full; else answer=; fi
        if wait "$other"; then answer=${answer:-small}; fi
        # A busy host may have been late for all of them.
        if [ "$answer" != full ] && echoes "$size" -c 2 -W 4 "$1" >/dev/null; then answer=full; fi
        answer=${answer:-none} ;;
      *) answer=unasked ;;
    esac
  fi
  echo "path $1 $dev $mtu $how $answer"
}
