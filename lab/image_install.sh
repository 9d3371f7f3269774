# Arguments: packages of Debian.
set -eu
apt-get update --quiet
apt-get install --yes --quiet --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
