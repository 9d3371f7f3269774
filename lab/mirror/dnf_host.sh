# Turns a Debian with dnf into a host without apt. dnf asks a release's package for the version;
# there is none.
set -eu
rm -f /usr/bin/apt-get /usr/bin/apt-mark /usr/bin/apt-cache /usr/bin/apt /usr/bin/dpkg-query
rm -f /etc/apt/sources.list
mkdir -p /etc/dnf/vars /etc/yum.repos.d /etc/pki/rpm-gpg
echo 9 >/etc/dnf/vars/releasever
rpm --initdb
