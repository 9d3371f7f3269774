pkill -x firewalld || true
systemctl --quiet unmask firewalld
systemctl --quiet disable --now firewalld
systemctl --quiet mask firewalld
systemctl daemon-reload
