# Defines `apt_get` and `apt_install`, which ask nothing and keep changed configuration files;
# `wait_for_apt`, until no other program holds a lock of apt or dpkg; `refresh_if_missing NAME…`,
# which refreshes all lists where a package has no candidate. locks: the files that are locked.
export DEBIAN_FRONTEND=noninteractive
# /proc/locks names a file by its inode; whether the holder has this file open settles the rest.
apt_is_busy() {
  for l in $locks; do
    i=$(stat -c %i -- "$l" 2>/dev/null) || continue
    # shellcheck disable=SC2013  # numbers
    for pid in $(awk -v i="$i" '$2 == "POSIX" && $6 ~ ":" i "$" { print $5 }' /proc/locks); do
      for fd in "/proc/$pid/fd/"*; do
        [ ! "$fd" -ef "$l" ] || return 0
      done
    done
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
