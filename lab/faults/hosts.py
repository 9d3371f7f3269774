"""Faults of chapters 4 to 6: the system, /etc/hosts, the hostname."""

from lab.faults.fault import HostFault, fail, unknown

HOST = "k8s-node-01"
HOSTS = ("/etc/hosts",)

FAULTS = (
    # --- OS-RELEASE ---
    HostFault(
        "another release of the distribution",
        "k8s-master-02",
        "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"11\"/' /etc/os-release",
        {"OS-RELEASE runtime": fail("Debian GNU/Linux 11")},
        files=("/etc/os-release",),
    ),
    HostFault(
        "another distribution that calls itself an accepted one",
        "k8s-master-02",
        "sed -i 's/^NAME=.*/NAME=\"Devuan GNU\\/Linux\"/' /etc/os-release",
        {"OS-RELEASE runtime": fail("Devuan GNU/Linux 12, which calls itself Debian GNU/Linux 12")},
        files=("/etc/os-release",),
    ),
    HostFault(
        "os-release is empty",
        "k8s-master-02",
        "rm /etc/os-release && : >/etc/os-release",
        {"OS-RELEASE runtime": unknown("no NAME")},
        files=("/etc/os-release",),
    ),
    # --- HOSTS-VIP ---
    HostFault(
        "VIP entry commented out",
        HOST,
        "sed -i 's/^10.208.1.190/#&/' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP entry contradicted by another address",
        HOST,
        "echo '10.208.1.191 master.k8s.io' >>/etc/hosts",
        {
            "HOSTS-VIP runtime": fail("resolves to 10.208.1.190 and 10.208.1.191"),
            "HOSTS-VIP persisted": fail("contradicts it: 10.208.1.191 master.k8s.io"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP's name leads to one master",
        HOST,
        "sed -i 's/^10.208.1.190.*/10.208.1.191 master.k8s.io k8s-vip/' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to 10.208.1.191;"),
            "HOSTS-VIP persisted": fail("contradicts it: 10.208.1.191 master.k8s.io k8s-vip"),
            # The stand-in listens on all of the first master's addresses, as haproxy does.
            "HA-APISERVER-VIP runtime": fail("the name resolves to 10.208.1.191, not to the VIP"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP's name only as a part of others",
        HOST,
        "sed -i 's/master.k8s.io k8s-vip/xmaster.k8s.io k8s-vip2/' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing; k8s-vip"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=HOSTS,
    ),
    HostFault(
        "one of the VIP's names is missing",
        HOST,
        "sed -i 's/ k8s-vip//' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("k8s-vip resolves to nothing"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190 to k8s-vip"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP entry behind a comment sign in the line",
        HOST,
        "sed -i 's/master.k8s.io/# &/' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing; k8s-vip"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP entry twice, as `>>` leaves it",
        HOST,
        "grep 10.208.1.190 /etc/hosts >/run/line && cat /run/line >>/etc/hosts && rm /run/line",
        {"HOSTS-VIP persisted": fail("more than once: master.k8s.io, k8s-vip")},
        files=HOSTS,
    ),
    HostFault(
        "VIP has a master's name as well",
        HOST,
        "echo '10.208.1.190 k8s-master-01' >>/etc/hosts",
        {"HOSTS-VIP persisted": fail("contradicts it: 10.208.1.190 k8s-master-01")},
        files=HOSTS,
    ),
    HostFault(
        "resolver does not read /etc/hosts",
        "k8s-master-02",
        "sed -i 's/^hosts:.*/hosts: dns/' /etc/nsswitch.conf",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=("/etc/nsswitch.conf",),
    ),
    HostFault(
        "cloud-init rewrites /etc/hosts at boot",
        "k8s-master-03",
        """
        install -m 755 /bin/true /usr/bin/cloud-init
        mkdir -p /etc/cloud/cloud.cfg.d
        echo 'manage_etc_hosts: true' >/etc/cloud/cloud.cfg.d/99-site.cfg
        """,
        {"HOSTS-VIP persisted": fail("cloud-init rewrites /etc/hosts at every boot")},
        files=("/usr/bin/cloud-init", "/etc/cloud"),
    ),
    HostFault(
        "VIP entry written with tabs, capitals and a carriage return",
        HOST,
        r"sed -i 's/^10.208.1.190.*/10.208.1.190\t\tMASTER.k8s.io\tk8s-vip\r/' /etc/hosts",
        files=HOSTS,
    ),
    HostFault(
        "cloud-init without the module that rewrites /etc/hosts",
        "k8s-master-03",
        r"""
        install -m 755 /bin/true /usr/bin/cloud-init
        mkdir -p /etc/cloud
        printf 'manage_etc_hosts: true\ncloud_init_modules: [set_hostname]\n' >/etc/cloud/cloud.cfg
        """,
        files=("/usr/bin/cloud-init", "/etc/cloud"),
    ),
    HostFault(
        "VIP entry with no-break spaces, as a web page has them",
        HOST,
        r"LC_ALL=C sed -i '/^10.208.1.190/s/[ \t]\{1,\}/\xc2\xa0/g' /etc/hosts",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=HOSTS,
    ),
    HostFault(
        "VIP entry behind a byte order mark",
        HOST,
        r"line=$(grep '^10.208.1.190' /etc/hosts); sed -i '/^10.208.1.190/d' /etc/hosts;"
        r""" sed -i "1s/^/$(printf '\357\273\277')$line\n/" /etc/hosts""",
        {
            "HOSTS-VIP runtime": fail("master.k8s.io resolves to nothing"),
            "HOSTS-VIP persisted": fail("no line of /etc/hosts maps 10.208.1.190"),
            "HA-APISERVER-VIP runtime": fail("the name does not resolve"),
        },
        files=HOSTS,
    ),
    HostFault(
        "/etc/hosts is a link into /run",
        HOST,
        "cp -p /etc/hosts /run/hosts; ln -sf /run/hosts /etc/hosts",
        {"HOSTS-VIP persisted": fail("/etc/hosts leads to /run/hosts, which a boot empties")},
        files=(*HOSTS, "/run/hosts"),
    ),
    HostFault(
        "/etc/hosts is a bind mount from /run",
        HOST,
        "cp -p /etc/hosts /run/hosts; mount --bind /run/hosts /etc/hosts",
        {"HOSTS-VIP persisted": fail("/etc/hosts is in memory (tmpfs), which a boot empties")},
        undo="umount /etc/hosts; rm /run/hosts",
    ),
    HostFault(
        "tmpfiles.d writes /etc/hosts at boot",
        HOST,
        r"printf 'F /etc/hosts 0644 - - - 127.0.0.1 localhost\\n\n' >/etc/tmpfiles.d/site.conf",
        {"HOSTS-VIP persisted": fail("/etc/tmpfiles.d/site.conf:1 writes /etc/hosts at boot")},
        files=("/etc/tmpfiles.d/site.conf",),
    ),
    HostFault(
        "tmpfiles.d makes /etc/hosts where it is absent",
        HOST,
        "echo 'C /etc/hosts - - - - /usr/share/hosts' >/etc/tmpfiles.d/site.conf",
        files=("/etc/tmpfiles.d/site.conf",),
    ),
    # --- NAME-HOSTNAME ---
    HostFault(
        "/etc/hostname is a link into /run",
        HOST,
        "cp -p /etc/hostname /run/hostname; ln -sf /run/hostname /etc/hostname",
        {"NAME-HOSTNAME persisted": unknown("/etc/hostname leads to /run/hostname")},
        files=("/etc/hostname", "/run/hostname"),
    ),
    HostFault(
        "hostname transient only",
        HOST,
        "hostname localhost",
        {"NAME-HOSTNAME runtime": fail("the running hostname is localhost")},
        undo=f"hostname {HOST}",
    ),
    HostFault(
        "hostname right until the next boot",
        HOST,
        "echo localhost >/etc/hostname",
        {"NAME-HOSTNAME persisted": fail("sets the hostname to localhost")},
        files=("/etc/hostname",),
    ),
    HostFault(
        "hostname of another host, after a boot",
        HOST,
        "echo k8s-node-02 >/etc/hostname",
        {
            "NAME-HOSTNAME runtime": fail("the running hostname is k8s-node-02"),
            "NAME-HOSTNAME persisted": fail("sets the hostname to k8s-node-02"),
        },
        files=("/etc/hostname",),
        reboot=True,
    ),
    HostFault(
        "hostname with a domain",
        HOST,
        f"echo {HOST}.example.org >/etc/hostname",
        {"NAME-HOSTNAME persisted": fail(f"sets the hostname to {HOST}.example.org")},
        files=("/etc/hostname",),
    ),
    HostFault(
        "no valid name in /etc/hostname",
        HOST,
        "echo '#k8s-node-01' >/etc/hostname",
        {"NAME-HOSTNAME persisted": fail("nothing sets the hostname at boot")},
        files=("/etc/hostname",),
    ),
    HostFault(
        "boot loader's argument names the host otherwise",
        HOST,
        """
        mkdir -p /etc/default
        echo 'GRUB_CMDLINE_LINUX="systemd.hostname=template"' >/etc/default/grub
        """,
        {"NAME-HOSTNAME persisted": fail("sets the hostname to template")},
        files=("/etc/default/grub",),
    ),
    HostFault(
        "/etc/hostname with a comment and blanks around the name",
        HOST,
        f"printf '# the plan\\n\\n  {HOST}  \\n' >/etc/hostname",
        files=("/etc/hostname",),
        reboot=True,
    ),
)
