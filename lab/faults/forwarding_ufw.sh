# ufw as a site has it, but for its program: enabled, with a file of parameters of its own.
mkdir -p /etc/ufw
echo ENABLED=yes >/etc/ufw/ufw.conf
echo IPT_SYSCTL=/etc/ufw/sysctl.conf >/etc/default/ufw
echo net/ipv4/ip_forward=0 >/etc/ufw/sysctl.conf
ln -s /lib/systemd/system/ufw.service /etc/systemd/system/multi-user.target.wants/
