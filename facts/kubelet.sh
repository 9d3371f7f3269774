# Given: unit, shown (its properties), config (the kubelet's).
need systemctl sed curl tr tail
systemctl show "$unit" --property="$shown" || exit
enter /var/lib/kubelet
[ -e "$config" ] || { echo "no $config"; exit 0; }
readable "$config"
at=$(sed -n 's/^healthzBindAddress: *"\{0,1\}\([0-9a-f.:]*\).*/\1/p' "$config")
port=$(sed -n 's/^healthzPort: *\([0-9]*\).*/\1/p' "$config")
# A flag of the process that runs wins over the file.
pid=$(systemctl show "$unit" --property=MainPID | sed 's/^MainPID=//')
flags=$(tr '\000' '\n' 2>/dev/null <"/proc/${pid:-0}/cmdline")
flag() {
  printf '%s\n' "$flags" | sed -n "/^--\{0,1\}$1\$/{n;p;}; s/^--\{0,1\}$1=//p" | tail -n 1
}
given=$(flag healthz-bind-address); at=${given:-$at}
given=$(flag healthz-port); port=${given:-$port}
case $at in ''|0.0.0.0|::) at=127.0.0.1 ;; *:*) at="[$at]" ;; esac
url=http://$at:${port:-10248}/healthz
capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 "$url"
printf 'healthz %s %s %s\n' "$url" "$r" "$(flat "$output")"
