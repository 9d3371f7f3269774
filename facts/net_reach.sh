# Arguments: addresses of hosts. Given: connect (a program of bash), targets (ADDRESS/PORT, in
# words), ports (hexadecimal, `|` between them). Prints what the program prints, the path to each host
# (facts/parsers/reach_paths.sh), and the sockets that listen on the ports, as /proc/net/tcp has them.
need bash cat grep ip sed sort timeout
paths() {
  n=0
  for a; do
    path "$a" &
    n=$((n + 1)); [ $((n % 32)) != 0 ] || wait
  done
  wait
}
cat /proc/net/tcp >/dev/null || exit 3
listening() { sed -nE "s/^ *[0-9]+: ([0-9A-F]+:($ports)) [0-9A-F:]+ 0A .*/listens \1/p" \
  /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u; }
first=$(listening)
out=$({
  paths "$@" &
  # shellcheck disable=SC2086  # words
  timeout 25 bash -c "$connect" bash $targets || echo "bash $?"
  wait
} | sort)
printf '%s\n' "$out"
listening | grep -Fx -e "${first:-none}"
echo end
