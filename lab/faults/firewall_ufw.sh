# Given: chains of ufw as arguments; the first is entered from INPUT. ufw's files, and its rules.
set -e
mkdir -p /etc/ufw
echo ENABLED=yes >/etc/ufw/ufw.conf
: >/etc/ufw/sysctl.conf
printf 'DEFAULT_INPUT_POLICY="DROP"\nIPT_SYSCTL=/etc/ufw/sysctl.conf\n' >/etc/default/ufw
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' \
  >/etc/systemd/system/ufw.service
systemctl daemon-reload
systemctl --quiet enable ufw
for chain in "$@"; do iptables -N "$chain"; done
iptables -A INPUT -j "$1"
iptables -A "$1" -p tcp --dport 22 -j ACCEPT
