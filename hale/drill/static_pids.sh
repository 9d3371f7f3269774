# static_pids NAME: the processes of that name in kubeadm's static Pod of that name. A process of
# another Pod (a hosted control plane) or of a user may have the same name. A static Pod's uid is a
# digest, 32 digits without a separator; /var/log/pods/NAMESPACE_NAME_UID says whose it is.
static_pids() {
  # shellcheck disable=SC2013  # no blanks in these names
  for file in $(grep -lsx "$(printf %.15s "$1")" /proc/[0-9]*/comm); do
    uid=$(sed -n 's|.*[/-]pod\([0-9a-f]\{32\}\)\([.]slice\)\{0,1\}/.*|\1|p' "${file%comm}cgroup" \
      2>/dev/null | head -n 1)
    [ -n "$uid" ] || continue
    for logs in "/var/log/pods/kube-system_$1-"*"_$uid"; do
      [ -d "$logs" ] || continue
      pid=${file#/proc/}; echo "${pid%/comm}"
      break
    done
  done
}
