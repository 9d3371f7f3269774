# Defines `apt_get` and `apt_install`, which ask nothing and keep changed configuration files;
# `wait_for_apt`, until no other program holds a lock of apt or dpkg; `refresh_if_missing NAME…`,
# which refreshes all lists where a package has no candidate. locks: the files that are locked.
export DEBIAN_FRONTEND=noninteractive
apt_is_busy() {
  for l in $locks; do
    i=$(stat -c %i -- "$l" 2>/dev/null) || continue
    ! awk -v i="$i" '$2 == "POSIX" && split($6, at, ":") == 3 && at[3] == i { found = 1 }
      END { exit !found }' /proc/locks || return 0
  done
  return 1
}
wait_for_apt() {
  n=0
  while apt_is_busy; do
    [ $n != 0 ] || echo "waiting for another program to release the locks of apt and dpkg"
    n=$((n + 1))
    [ $n -lt 300 ] || { echo "$l is still locked after 10 minutes" >&2; exit 43; }
    sleep 2
  done
}
apt_get() { wait_for_apt; apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
apt_install() {
  apt_get -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
    --no-install-recommends -y install "$@"
}
refresh_if_missing() {
  for p; do
    [ -z "$(apt-cache madison "$p")" ] || continue
    echo "$p has no candidate: refreshing all lists"
    apt_get update || :  # the installation says what is still missing
    return
  done
}
