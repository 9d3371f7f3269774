# Given: component, comm (the first 15 characters of its name), port, lease (its path).
need grep
m=/etc/kubernetes/manifests/$component.yaml
if [ -e "$m" ]; then echo manifest; else echo no manifest; fi
if grep -qx "$comm" /proc/[0-9]*/comm 2>/dev/null; then
  bind=$(sed -n 's/^[- ]*--bind-address=//p' "$m" 2>/dev/null)
  case $bind in ''|0.0.0.0|::) bind=127.0.0.1 ;; *:*) bind="[$bind]" ;; esac
  url=https://$bind:$port/healthz
  said=$(curl -q -ksS --noproxy '*' --connect-timeout 2 --max-time 3 "$url" 2>&1)
  echo "healthz $? $(flat "$said")"
else
  echo no process
fi
api lease "$lease?pretty=false"
date '+now %s.%N'
