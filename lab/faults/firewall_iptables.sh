# What iptables-persistent restores at boot, with the end that Red Hat's iptables-services brings.
set -e
mkdir -p /etc/iptables
cat >/etc/iptables/rules.v4 <<'END'
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
END
cat >/etc/systemd/system/netfilter-persistent.service <<'END'
[Unit]
Description=netfilter persistent configuration

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables-restore /etc/iptables/rules.v4

[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable netfilter-persistent
