# An etcd that reports health, with a certificate of its own. Given: pki.
mkdir -p "$pki/etcd" && cd "$pki/etcd" || exit
for name in ca fake; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj "/CN=$name" -addext subjectAltName=IP:127.0.0.1 \
    -keyout $name.key -out $name.crt 2>/dev/null
done
cp ca.crt healthcheck-client.crt; cp ca.key healthcheck-client.key
cat fake.key fake.crt >fake.pem
printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"health":"true"}' >answer
nohup socat OPENSSL-LISTEN:2379,reuseaddr,fork,cert=fake.pem,verify=0 \
  SYSTEM:"cat $pki/etcd/answer" >/dev/null 2>&1 & sleep 0.3
