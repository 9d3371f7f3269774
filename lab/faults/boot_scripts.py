"""Scripts that a boot runs: found by other names than their paths, in a folder of their own, and
what they do to files and services that rows rest on.
"""

from lab.faults.boots import HOST, HOSTS_LOST, SYSTEM, script, unit
from lab.faults.fault import HostFault, fail, unknown

VIP = "10.208.1.190"
RC = "/etc/rc.local"
LATER = "sets it after systemd-sysctl.service"
PARAMETERS = "/etc/sysctl.d/60-kubernetes.conf"
SITE_BOOT = "/usr/local/sbin/site-boot"
KEEPALIVED = "/usr/lib/systemd/system/keepalived.service"
ENABLED = f"{SYSTEM}/multi-user.target.wants/keepalived.service"
INSTANCE = (
    r"vrrp_instance a {\n interface eth0\n virtual_router_id 51\n"
    rf" virtual_ipaddress {{\n  {VIP} dev eth0\n }}\n}}\n"
)

FAULTS = (
    HostFault(
        "keepalived with the VIP starts on a worker",
        HOST,
        f"mkdir -p /etc/keepalived; printf '{INSTANCE}' >/etc/keepalived/keepalived.conf;"
        r" printf '[Service]\nExecStart=/usr/sbin/keepalived --dont-fork\n[Install]\n"
        rf"WantedBy=multi-user.target\n' >{KEEPALIVED}; systemctl --quiet enable keepalived",
        {"NODES-ADDRESS persisted": fail(f"/etc/keepalived/keepalived.conf sets the VIP {VIP}")},
        ("/etc/keepalived", KEEPALIVED, ENABLED),
        undo="systemctl daemon-reload",
    ),
    HostFault(
        "forwarding switched off below a folder, by a program named without its path",
        HOST,
        rf"printf '#!/bin/sh\ncd /proc/sys/net/ipv4\necho 0 >ip_forward\n' >{SITE_BOOT};"
        rf" printf '#!/bin/sh\nsite-boot\n' >{RC}; chmod 755 {SITE_BOOT} {RC}",
        {
            "SYS-IP-FORWARD persisted": fail(f"but {SITE_BOOT}:3 {LATER}"),
            "SYS-IP-FORWARD runtime": fail("net.ipv4.ip_forward is 0"),
        },
        (SITE_BOOT, RC),
        reboot=True,
    ),
    HostFault(
        "cloud-init's bootcmd in a file with indented keys",
        HOST,
        "install -m 755 /bin/true /usr/bin/cloud-init; mkdir -p /etc/cloud/cloud.cfg.d;"
        r" printf '  users:\n    - name: a\n  bootcmd:\n    - sysctl -w net.ipv4.ip_forward=0\n'"
        " >/etc/cloud/cloud.cfg.d/99.cfg",
        {"SYS-IP-FORWARD persisted": fail(f"/etc/cloud/cloud.cfg.d/99.cfg {LATER}")},
        ("/usr/bin/cloud-init", "/etc/cloud"),
    ),
    script(
        "rc.local edits a line of sysctl.d",
        RC,
        f"cd /etc/sysctl.d && sed -i s/ip_forward/proxy_arp/ {PARAMETERS.rpartition('/')[2]}",
        {"SYS-IP-FORWARD persisted": unknown(f"{RC}:2 may write files in /etc/sysctl.d/")},
    ),
    script(
        "rc.local removes the list of modules",
        RC,
        "rm -f /etc/modules-load.d/*.conf",
        {"MOD-BR-NETFILTER persisted": unknown(f"{RC}:2 may write files in /etc/modules-load.d/")},
    ),
    script(
        "rc.local appends a lower limit",
        RC,
        "echo '* hard nofile 1024' >>/etc/security/limits.conf",
        {
            f"LIM-{item} persisted": unknown(f"{RC}:2 may write /etc/security/limits.conf")
            for item in ("NOFILE", "ROOT-NOFILE")
        },
    ),
    script(
        "rc.local appends swap to fstab",
        RC,
        "echo /swapfile none swap sw 0 0 >>/etc/fstab",
        {"SWAP-OFF persisted": unknown(f"{RC}:2 may write /etc/fstab after a boot")},
    ),
    script(
        "rc.local stops the time program",
        RC,
        "systemctl stop chrony",
        {"TIME-SYNC persisted": unknown(f"{RC}:2 may stop chrony.service after a boot")},
    ),
    unit(
        "a unit copies another /etc/hosts as it stops",
        r"/bin/true\nRemainAfterExit=yes\nExecStop=/bin/cp /root/hosts.template /etc/hosts",
        HOSTS_LOST,
    ),
    script(
        "rc.local takes swap out, backs files up and looks at others",
        RC,
        "sed -i '/ swap / s/^/#/' /etc/fstab; cp /etc/hosts /root/; cd /proc/sys/net/ipv4;"
        " cat ip_forward; grep -q nofile /etc/security/limits.conf; systemctl is-active chrony",
        {},
    ),
)
