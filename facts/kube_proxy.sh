# After processes.sh and listeners.sh.
need curl grep tr sed head
get() {
  capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 4 -w '\n@ %{http_code}\n' "$2"
  [ "$1" = mode ] || output=$(printf '%s\n' "$output" | grep -E '^@|^curl')
  printf '%s %s %s\n' "$1" "$r" "$(flat "$output")"
}
pids=$(api_pod_pids kube-proxy; static_pids kube-proxy; unit_pids kube-proxy)
[ -n "$pids" ] || { echo no process; exit 0; }
echo process
# shellcheck disable=SC2086  # numbers
{ listeners 10249 $pids; listeners 10256 $pids; }
get mode http://127.0.0.1:10249/proxyMode
mode=$output
get health http://127.0.0.1:10256/healthz
case $mode in
iptables*)
  read=
  # iptables-save is the variant that the host's own tools use; kube-proxy may use the other one.
  for save in iptables-save iptables-legacy-save iptables-nft-save ip6tables-save; do
    command -v $save >/dev/null || continue
    read=1
    capture $save -t nat
    [ "$r" = 0 ] || { printf '%s: %s\n' "$save" "$output" >&2; exit 3; }
    rules=$(printf '%s\n' "$output" | grep -E 'default/kubernetes:https|-j KUBE-SERVICES')
    case $rules in *-A*) printf '%s\n' "$rules"; break ;; esac
  done
  [ "$read" ] || missing "iptables-save is not installed: the rules cannot be looked at"
  ;;
nftables*)
  command -v nft >/dev/null || missing "nft is not installed: the rules cannot be looked at"
  for family in ip ip6; do
    capture nft list table $family kube-proxy
    [ "$r" = 0 ] || case $output in
      *'No such file'*) continue ;;
      *) printf '%s\n' "$output" >&2; exit 3 ;;
    esac
    # The chains on the way of the Service default/kubernetes with their rules, and its element.
    printf '%s\n' "$output" | sed -nE '
      /^table /p
      /^.map service-ips \{/,/^.\}/{ /service-ips|^.\}|default\/kubernetes\/tcp\/https/p; }
      /^.chain (nat-prerouting|nat-output|services|[^ ]*-default\/kubernetes\/tcp\/https[^ ]*) \{/,/^.\}/p'
  done
  ;;
ipvs*)
  [ -e /proc/net/ip_vs ] || { echo "no /proc/net/ip_vs"; exit 0; }
  cat /proc/net/ip_vs || exit 3
  ;;
esac
exit 0
