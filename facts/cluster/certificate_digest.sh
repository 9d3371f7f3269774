# Defines certificate_digest: the SHA-256 of the first certificate in a file, as `openssl x509
# -fingerprint -sha256` has it, without openssl. Empty for a file without one.
certificate_digest() {
  der=$(sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/{p;/^-----END/q;}' <"$1" |
    grep -v '^-----' | tr -d '\r')
  [ -z "$der" ] || echo "$der" | base64 -d 2>/dev/null | sha256sum | cut -d' ' -f1
}
