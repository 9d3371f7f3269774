# Processes by the control group of their Pod or unit: a process of another Pod (a hosted control
# plane) or of a user may have the same name. A user's own groups are below user.slice.

# pod_pids NAME UID: the processes of that name in a Pod of kube-system whose name begins with it.
# UID is a basic regular expression. /var/log/pods/NAMESPACE_NAME_UID says whose a Pod is, unless
# the kubelet's logs are elsewhere.
pod_pids() {
  # shellcheck disable=SC2013  # no blanks in these names
  for file in $(grep -lsx "$(printf %.15s "$1")" /proc/[0-9]*/comm); do
    uid=$(sed -n "\\|/user[.]slice/|d; s|.*kubepods.*[/-]pod\($2\)\([.]slice\)\{0,1\}/.*|\1|p" \
      "${file%comm}cgroup" 2>/dev/null | head -n 1 | tr _ -)
    [ -n "$uid" ] || continue
    for logs in "/var/log/pods/"*"_$uid"; do
      case $logs in
        "/var/log/pods/kube-system_$1-"* | '/var/log/pods/*'*)
          pid=${file#/proc/}; echo "${pid%/comm}"
          break ;;
      esac
    done
  done
}

# static_pids NAME: the processes of that name in kubeadm's static Pod of that name, whose UID is a
# digest, 32 digits without a separator.
static_pids() { pod_pids "$1" '[0-9a-f]\{32\}'; }

# api_pod_pids NAME: the same for a Pod that the API created, as a DaemonSet's.
api_pod_pids() {
  x='[0-9a-f]'
  pod_pids "$1" "$x\{8\}[-_]$x\{4\}[-_]$x\{4\}[-_]$x\{4\}[-_]$x\{12\}"
}

# unit_pids NAME: the processes of that name in a unit of the system that bears the name.
unit_pids() {
  group="^[0-9]+:[^:]*:/system[.]slice/([^/]*[.-])?$1([.-][^/]*)?[.]service(/|\$)"
  # shellcheck disable=SC2013  # no blanks in these names
  for file in $(grep -lsx "$(printf %.15s "$1")" /proc/[0-9]*/comm); do
    ! grep -qsE "$group" "${file%comm}cgroup" || { pid=${file#/proc/}; echo "${pid%/comm}"; }
  done
}
