set -e
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ]; then
    deb-systemd-helper purge kubelet.service >/dev/null || true
    deb-systemd-helper unmask kubelet.service >/dev/null || true
fi
