# Given: server, the address of the lab's time server.
# A host cannot set the machine's clock: it has no CAP_SYS_TIME, which Debian's unit requires. So its
# chronyd only measures (-x). It polls often, so that a boot ends with a synchronized clock.
rm /usr/sbin/policy-rc.d
cat > /etc/chrony/chrony.conf << END
server $server iburst minpoll -2 maxpoll 0
driftfile /var/lib/chrony/chrony.drift
END
echo 'DAEMON_OPTS="-F 1 -x"' > /etc/default/chrony
mkdir -p /etc/systemd/system/chrony.service.d
cat > /etc/systemd/system/chrony.service.d/lab.conf << END
[Unit]
ConditionCapability=
[Service]
ExecStartPost=-/usr/bin/timeout 5 /usr/bin/chronyc -h 127.0.0.1 waitsync 0 0 0 0.1
END
