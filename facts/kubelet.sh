# Given: unit, shown (its properties), config (the kubelet's).
need systemctl sed curl tr
systemctl show "$unit" --property="$shown" || exit
enter /var/lib/kubelet
[ -e "$config" ] || { echo "no $config"; exit 0; }
readable "$config"
at=$(sed -n 's/^healthzBindAddress: *"\{0,1\}\([0-9a-f.:]*\).*/\1/p' "$config")
port=$(sed -n 's/^healthzPort: *\([0-9]*\).*/\1/p' "$config")
case $at in ''|0.0.0.0|::) at=127.0.0.1 ;; *:*) at="[$at]" ;; esac
url=http://$at:${port:-10248}/healthz
capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 "$url"
printf 'healthz %s %s %s\n' "$url" "$r" "$(flat "$said")"
