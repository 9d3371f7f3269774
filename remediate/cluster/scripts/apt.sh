# Defines `apt_get` and `apt_install`, which ask nothing and keep changed configuration files.
export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
apt_install() {
  apt_get -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
    --no-install-recommends -y install "$@"
}
