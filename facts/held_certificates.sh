# Given: folder (of manifests), config and conf (the kubelet's). After processes.sh. Prints the clocks,
# then `process NAME PID STARTTIME FILE` for each process that reads its certificate once, behind
# `certificate FILE` and the base64 of the certificate in it, and `file MTIME CTIME PATH`.
need sed date stat systemctl
enter /etc/kubernetes "$folder" /var/lib/kubelet
[ -e "$config" ] || { echo not joined; exit 0; }
read -r up _ </proc/uptime || exit 3
date "+now %s.%N $up $(getconf CLK_TCK 2>/dev/null || echo 100)"
LC_ALL=C TZ=UTC systemctl show --property=UserspaceTimestamp --property=UserspaceTimestampMonotonic
files=
held() {
  name=$1 file=$2; shift 2
  echo "certificate $file"
  [ ! -r "$file" ] || sed -n 's/^ *client-certificate-data: *//p' "$file"
  for pid; do
    { read -r line <"/proc/$pid/stat"; } 2>/dev/null || continue
    # shellcheck disable=SC2086  # proc_pid_stat(5): field 22, the third is first behind the name
    set -- ${line##*) }
    echo "process $name $pid ${20} $file"
    files="$files $file"
  done
}
for component in kube-controller-manager kube-scheduler; do
  m=$folder/$component.yaml
  [ -e "$m" ] || continue
  readable "$m"
  file=$(sed -n 's/^[- ]*--kubeconfig=//p' "$m")
  # shellcheck disable=SC2046  # numbers
  [ -z "$file" ] || held "$component" "$file" $(static_pids "$component")
done
if [ -e "$conf" ]; then
  readable "$conf"
  # A file that it names is read again by the kubelet when it changes.
  # shellcheck disable=SC2046  # numbers
  ! grep -q '^ *client-certificate-data:' "$conf" || held kubelet "$conf" $(unit_pids kubelet)
fi
echo end
# shellcheck disable=SC2086  # no blanks in these names
[ -z "$files" ] || stat -L -c 'file %.9Y %.9Z %n' $files
