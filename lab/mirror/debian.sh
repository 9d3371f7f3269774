# Arguments: the packages. Given: registry, the package of the image registry.
set -eu
apt-get update --quiet
mkdir /packages /registry
apt-get install --yes --quiet --no-install-recommends --download-only "$@"
mv /var/cache/apt/archives/*.deb /packages/
cd /registry
apt-get download --quiet "$registry"
dpkg-deb --extract ./*.deb .
rm ./*.deb
