# Programs that sleep or answer under a component's name, in a user's unit, a tenant's Pod, or
# kubeadm's static Pod, and an ordinary user's own user namespace.
set -eu
d=/usr/local/lib/stand-ins
mkdir -p $d
cd $d
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fake \
  -keyout key -out crt 2>/dev/null
cat key crt >pem
chmod 644 pem
cat >reply <<'END'
#!/bin/sh
while IFS= read -r line && [ ${#line} -gt 1 ]; do :; done
printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'
END
chmod 755 reply
for name in kube-scheduler kube-proxy kube-vip; do cp "$(command -v socat)" $name; done
for name in firewalld chronyd sshd coredns keepalived; do cp /bin/sleep $name; done
