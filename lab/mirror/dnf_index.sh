# Given: owner of the signing key; in the environment: KEY, gpg's folder with it.
set -eu
rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_path $KEY" \
  --define "_gpg_name $owner" --addsign ./*.rpm
createrepo_c --quiet .
