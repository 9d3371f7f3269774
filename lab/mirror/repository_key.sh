# Given: owner of the key.
set -eu
umask 077
mkdir key
gpg --homedir key --batch --quiet --passphrase '' --quick-generate-key "$owner" ed25519 sign never
gpg --homedir key --batch --quiet --armor --export > key/key.asc
