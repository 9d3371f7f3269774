set -e
if [ "$1" = configure ] || [ "$1" = abort-upgrade ]; then
    deb-systemd-helper unmask kubelet.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled kubelet.service; then
        deb-systemd-helper enable kubelet.service >/dev/null || true
    else
        deb-systemd-helper update-state kubelet.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "$2" ]; then
            deb-systemd-invoke try-restart kubelet.service >/dev/null || true
        fi
    fi
fi
