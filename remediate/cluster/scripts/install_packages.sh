# After apt.sh and dnf_hold.sh: install packages from the host's own repositories, and hold them.
# Arguments: the packages.
if command -v apt-get >/dev/null; then
  wait_for_apt
  dpkg --configure -a
  refresh_if_missing "$@"
  apt_install "$@"
  apt-mark -qq hold "$@"
else
  dnf -q -y install "$@"
  dnf_hold "$@"
fi
