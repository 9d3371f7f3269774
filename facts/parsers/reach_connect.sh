# shellcheck shell=bash  # its /dev/tcp connects where there is nothing else that could
# Arguments: ADDRESS/PORT. Prints what became of a connection to each, all side by side:
# `open T`, `closed T` (refused), `rejected T` (refused by ICMP), `silent T`, `failed T REASON`, or
# `late T` where this host was too busy to know. What does not connect is tried twice, and longer
# where this host was busy.
limit=2 at_once=64
declare -A got=() pids=()
# ICMP's messages `destination unreachable` that came in so far.
unreachables() {
  local sum=0 names values n
  while read -ra names && read -ra values; do
    for n in "${!names[@]}"; do
      [ "${names[0]} ${names[n]}" != "Icmp: InDestUnreachs" ] || sum=$((sum + values[n]))
    done
  done </proc/net/snmp
  while read -ra names; do
    [ "${names[0]}" != Icmp6InDestUnreachs ] || sum=$((sum + names[1]))
  done </proc/net/snmp6 2>/dev/null
  echo "$sum"
}
# Two connections of one process would mix their messages, so each has a reader of its own.
connect() {
  exec 4>&1
  for t; do
    if e=$(echo "pid $t $BASHPID" >&4; { exec 3<>"/dev/tcp/$t"; } 2>&1); then
      echo "open $t"
    else
      echo "no $t ${e##*: }"
    fi &
  done
  echo begun
}
# Whether the process that connects sleeps: it waits for an answer, and not for a processor.
waits() {
  local stat
  { [ -n "$1" ] && read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  case ${stat##*) } in S*) ;; *) return 1 ;; esac
}
batch() {
  local left=$# begun='' patience word t rest
  SECONDS=0
  while [ "$left" -gt 0 ] || [ -z "$begun" ]; do
    patience=$((limit - SECONDS))
    [ -n "$begun" ] || patience=10
    [ "$patience" -gt 0 ] || patience=0.2
    read -r -t "$patience" word t rest || break
    case $word in
      begun) begun=1 SECONDS=0 ;;
      pid) pids[$t]=$rest ;;
      *) got[$t]="$word $rest"; left=$((left - 1)) ;;
    esac
  done < <(connect "$@")
  for t; do
    [ -z "${got[$t]}" ] || continue
    got[$t]=silent
    [ -n "$begun" ] && [ "$SECONDS" -le $((limit + 1)) ] && waits "${pids[$t]}" || got[$t]=late
    [ -z "${pids[$t]}" ] || kill -KILL "${pids[$t]}" 2>/dev/null
  done
}
every() {
  for t; do unset "got[$t]" "pids[$t]"; done
  while [ $# -gt 0 ]; do
    batch "${@:1:at_once}"
    shift $(($# < at_once ? $# : at_once))
  done
}
targets=("$@")
before=$(unreachables)
every "${targets[@]}"
again=()
for t in "${targets[@]}"; do
  case ${got[$t]} in "open "|"no Connection refused") ;; *) again+=("$t") ;; esac
done
every "${again[@]}"
again=()
for t in "${targets[@]}"; do [ "${got[$t]}" != late ] || again+=("$t"); done
limit=6
every "${again[@]}"
limit=2
after=$(unreachables) rejected=0
for t in "${targets[@]}"; do
  case ${got[$t]} in
    "open ") echo "open $t" ;;
    "no Connection refused")
      # A firewall's ICMP message looks like the host's own reset, but for the kernel's counter. It
      # is sent at most once a second (icmp(7)), so a few are enough to find out.
      word=closed
      if [ "$before" != "$after" ] && [ "$rejected" -lt 4 ]; then
        word=rejected
        for _ in 1 2; do
          count=$(unreachables)
          every "$t"
          case ${got[$t]} in "no Connection refused") ;; *) continue ;; esac
          [ "$count" != "$(unreachables)" ] || { word=closed; break; }
        done
        [ "$word" = closed ] || rejected=$((rejected + 1))
      fi
      echo "$word $t" ;;
    "no "*) echo "failed $t ${got[$t]#no }" ;;
    *) echo "${got[$t]} $t" ;;
  esac
done
