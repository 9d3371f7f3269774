# Runs in a new Debian: what the Debian installer does after debootstrap, and what must not be shared
# between hosts. An empty machine-id would be a "first boot" for systemd, which then enables every
# service there is (machine-id(5)); each host gets a machine-id of its own before it boots.
set -eu
useradd --create-home --uid 1000 --shell /bin/bash ops
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf
: > /etc/machine-id
: > /etc/resolv.conf
rm -f /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/bootstrap.log /var/cache/apt/*.bin
