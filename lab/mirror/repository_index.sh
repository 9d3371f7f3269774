# In the environment: KEY, gpg's folder with the signing key.
set -eu
cd apt
apt-ftparchive packages . > Packages
gzip --keep --no-name Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin=hale-lab \
    -o APT::FTPArchive::Release::Label=hale-lab release . > ../Release
mv ../Release .
gpg --homedir "$KEY" --batch --quiet --clearsign --output InRelease Release
gpg --homedir "$KEY" --batch --quiet --armor --detach-sign --output Release.gpg Release
