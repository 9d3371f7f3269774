# Given: component, port, lease (its path). After processes.sh and listeners.sh.
need grep head
m=/etc/kubernetes/manifests/$component.yaml
if [ -e "$m" ]; then echo manifest; else echo no manifest; fi
pids=$(static_pids "$component")
if [ -n "$pids" ]; then
  bind=$(sed -n 's/^[- ]*--bind-address=//p' "$m" 2>/dev/null)
  case $bind in ''|0.0.0.0|::) bind=127.0.0.1 ;; esac
  echo "bind $bind"
  # shellcheck disable=SC2086  # numbers
  listeners "$port" $pids
  case $bind in *:*) bind="[$bind]" ;; esac
  url=https://$bind:$port/healthz
  capture curl -q -ksS --noproxy '*' --connect-timeout 2 --max-time 3 "$url"
  echo "healthz $r $(flat "$output")"
else
  echo no process
fi
api lease "$lease?pretty=false"
date '+now %s.%N'
