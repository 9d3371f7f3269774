# After apt.sh: install packages from the host's own repositories.
# Arguments: the packages; apt holds them at their version.
if command -v apt-get >/dev/null; then
  wait_for_apt
  dpkg --configure -a
  refresh_if_missing "$@"
  apt_install "$@"
  apt-mark -qq hold "$@"
else
  dnf -q -y install "$@"
fi
