# Given: manifest, pki, port (of clients). Prints `metrics STATUS ERROR` and those that are needed,
# then `health STATUS ANSWER`. Without a listener for metrics on a loopback address, the port of
# clients has them too.
need curl sed tr
enter /etc/kubernetes /etc/kubernetes/manifests
[ -e "$manifest" ] || { echo no manifest; exit 0; }
readable "$manifest"
at=
for url in $(sed -n 's/^[- ]*--listen-metrics-urls=//p' "$manifest" | tr , ' '); do
  case $url in http://127.*|http://localhost:*|http://\[::1\]:*) at=$url ;; esac
done
set --
if [ -z "$at" ]; then
  at=https://127.0.0.1:$port
  enter /etc/kubernetes/pki "$pki"
  readable "$pki/healthcheck-client.key"
  set -- --capath /dev/null --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
    --key "$pki/healthcheck-client.key"
fi
ask() { capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 "$@"; }
ask "$@" "$at/metrics"
if [ "$r" = 0 ]; then
  echo "metrics 0"
  printf '%s\n' "$output" | sed -n -e '/^etcd_mvcc_db_total_size_in[a-z_]*bytes /p' \
    -e '/^etcd_server_quota_backend_bytes /p' -e '/^etcd_disk_wal_fsync_duration_seconds_/p'
else
  echo "metrics $r $(flat "$output")"
fi
# An alarm is a part of it, and a member without a majority answers.
ask "$@" "$at/health?serializable=true"
echo "health $r $(flat "$output")"
