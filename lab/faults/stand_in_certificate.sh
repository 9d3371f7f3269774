# certificate FILE SUBJECT_ALT_NAMES DAYS [CA]: make FILE.pem, key and certificate. Given: folder.
set -e
cd "$folder"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kube-apiserver \
  -keyout "$1.key" -out "$1.csr" 2>/dev/null
echo "subjectAltName=$2" >"$1.ext"
openssl x509 -req -in "$1.csr" -CA "${4:-ca}.crt" -CAkey "${4:-ca}.key" -CAcreateserial \
  -days "$3" -extfile "$1.ext" -out "$1.crt" 2>/dev/null
cat "$1.key" "$1.crt" >"$1.pem"
