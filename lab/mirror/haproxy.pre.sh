getent group haproxy >/dev/null || groupadd -r haproxy
getent passwd haproxy >/dev/null ||
  useradd -r -g haproxy -d /var/lib/haproxy -s /usr/sbin/nologin haproxy
