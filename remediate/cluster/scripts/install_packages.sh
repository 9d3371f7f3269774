# After apt.sh: install packages from the host's own repositories.
# Arguments: the packages.
if command -v apt-get >/dev/null; then
  dpkg --configure -a
  apt_install "$@"
else
  dnf -q -y install "$@"
fi
