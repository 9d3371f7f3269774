# A unit of the site's own whose script sets a parameter.
mkdir -p /opt/site
printf '#!/bin/sh\necho 0 >/proc/sys/net/ipv4/ip_forward\n' >/opt/site/harden
chmod 755 /opt/site/harden
printf '[Service]\nExecStart=/opt/site/harden\n' >/etc/systemd/system/harden.service
ln -s ../harden.service /etc/systemd/system/multi-user.target.wants/
