"""Faults of the kernel and the machine, which the lab's hosts share: in recorded evidence.

A real run's evidence of the compliant lab, in which files of one host are replaced by what a
kernel with that fault says, and then judged as ever.
"""

import tomllib
from pathlib import Path

from msgspec.structs import replace

from hale.audit.evidence_file import EvidenceFile
from hale.model.evidence import Evidence, File, Output
from lab.faults.fault import ExpectedResult, RecordedFault, fail, unknown

HOST = "k8s-master-02"
ETCD = Path(__file__).parents[1] / "facts" / "etcd"
MEMBERS = "etcd.members"

SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
BUILT_IN = {
    "/sys/module/br_netfilter": None,
    "/proc/sys/net/bridge": None,
    "/proc/sys/net/bridge/bridge-nf-call-iptables": None,
    "/proc/sys/net/bridge/bridge-nf-call-ip6tables": None,
}
BOARD = "/sys/class/dmi/id/product_uuid"

RECORDED = (
    # --- HA-ETCD-MEMBERS: answers of a cluster of etcd 3.4 or 3.6, recorded as each case tells ---
    RecordedFault(
        "etcd of one master stopped",
        "k8s-master-03",
        "three members of etcd 3.4.23, one of them stopped (SIGSTOP)",
        {"HA-ETCD-MEMBERS runtime @cluster": fail("k8s-master-03: etcd gives no answer in time")},
        etcd="one-stopped",
    ),
    RecordedFault(
        "etcd of one master killed",
        "k8s-master-03",
        "three members of etcd, one of them killed",
        {"HA-ETCD-MEMBERS runtime @cluster": fail("k8s-master-03")},
        etcd="one-killed",
    ),
    RecordedFault(
        "etcd without a majority",
        "k8s-master-03",
        "three members of etcd, two of them killed",
        {"HA-ETCD-MEMBERS runtime @cluster": fail("not healthy")},
        etcd="no-majority",
    ),
    RecordedFault(
        "etcd's database is full",
        "k8s-master-03",
        "etcd with a quota that was reached",
        {"HA-ETCD-MEMBERS runtime @cluster": fail("NOSPACE")},
        etcd="database-full",
    ),
    RecordedFault(
        "etcd's member removed from the cluster",
        "k8s-master-03",
        "three members of etcd, one removed",
        {"HA-ETCD-MEMBERS runtime @cluster": fail("k8s-master-03")},
        etcd="one-removed",
    ),
    # --- what the inventory alone asks for ---
    *(
        RecordedFault(
            f"the inventory asks for {what}",
            "k8s-master-03",
            "the inventory is the plan, no host's",
            {f"CMP-{name} runtime @cluster": unknown(why)},
            inventory=(
                "hale_environment=lab",
                f"hale_environment=lab\nhale_cmp_{name.lower()}__requested=true",
            ),
        )
        for what, name, why in (
            ("a dashboard", "DASHBOARD", "no apiserver to ask"),
            ("an ingress", "INGRESS", "no apiserver to ask"),
            ("a federation", "FEDERATION", "no apiserver to ask"),
        )
    ),
    # --- chapter 3 ---
    RecordedFault(
        "two masters in the inventory",
        "k8s-master-03",
        "the inventory is the plan, no host's",
        {
            "NODES-ODD-MASTERS inventory @cluster": fail("the inventory names 2 masters"),
            "HA-ETCD-MEMBERS runtime @cluster": fail("3 members for 2 masters"),
            **{
                f"{row} @k8s-master-03": ExpectedResult("N-A", "concerns masters only")
                for row in (
                    "HA-APISERVER-EACH runtime",
                    "HA-LB-BACKENDS runtime",
                    "HA-LB-BACKENDS persisted",
                    "CMP-KUBECTL runtime",
                    "NODE-PORTS-MASTER runtime",
                    "DISK-ETCD runtime",
                )
            },
            "NODE-PORTS-WORKER runtime @k8s-master-03": ExpectedResult(
                "PASS", "all of them are free"
            ),
        },
        inventory=(
            "k8s-master-03 ansible_host=10.208.1.195\n\n[workers]\n",
            "\n[workers]\nk8s-master-03 ansible_host=10.208.1.195\n",
        ),
    ),
    RecordedFault(
        "one CPU",
        HOST,
        "cputopology.rst of the kernel: `online` is a list of ranges",
        {"NODES-RESOURCES runtime": fail("1 CPU online")},
        {"/sys/devices/system/cpu/online": "0\n"},
    ),
    RecordedFault(
        "two GiB of memory",
        HOST,
        "proc_meminfo(5); a virtual machine of 2 GiB",
        {"NODES-RESOURCES runtime": fail("1967 MiB of memory usable")},
        {"/proc/meminfo": "MemTotal:        2014360 kB\nMemFree:          831244 kB\n"},
    ),
    RecordedFault(
        "product_uuid of a clone",
        HOST,
        "the kernel's sysfs-class-dmi: one line, in lower case",
        {"ID-PRODUCT-UUID runtime @cluster": fail("have the same product_uuid")},
        {
            f"{BOARD}": "4c4c4544-0051-3610-8052-b4c04f4e5a32\n",
            f"{BOARD} @k8s-master-03": "4C4C4544-0051-3610-8052-B4C04F4E5A32\n",
        },
    ),
    RecordedFault(
        "clock one and a half seconds ahead",
        HOST,
        "the host's own `date`, set ahead",
        {"CLOCK-SKEW runtime @cluster": fail(f"{HOST}'s clock is 1.")},
        clock=1.5,
    ),
    # --- beyond chapter 2: the version that runs decides that the rows hold ---
    RecordedFault(
        "Kubernetes 1.36 on a host with control groups and containerd of version 1",
        HOST,
        "kubelet(1), containerd(8), `--version`; stat -fc %T /sys/fs/cgroup of CentOS Stream 8",
        {
            "NODE-CGROUP-V2 runtime": fail("the control groups have version 1"),
            "CMP-CONTAINERD runtime": fail("containerd 1.6.32 runs"),
        },
        outputs={
            "node_versions.programs": "kubelet running Kubernetes v1.36.1\n"
            "containerd running containerd containerd.io 1.6.32 "
            "8b3b7ca2e5ce38e8f31a34f35b2b68ceb8470d89\nnode\ncgroup tmpfs\n"
        },
    ),
    # --- chapters 4 and 6 ---
    RecordedFault(
        "kernel of CentOS 7",
        HOST,
        "/proc/sys/kernel/osrelease of CentOS 7.9",
        {"OS-RELEASE runtime": fail("3.10.0-1160.el7.x86_64")},
        {"/proc/sys/kernel/osrelease": "3.10.0-1160.el7.x86_64\n"},
    ),
    RecordedFault(
        "argument of this boot names the host otherwise",
        HOST,
        "systemd(1), systemd.hostname=",
        {"NAME-HOSTNAME persisted": fail("sets the hostname to template")},
        {"/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro systemd.hostname=template\n"},
    ),
    # --- chapter 7 ---
    RecordedFault(
        "SELinux enforcing now",
        HOST,
        "selinuxfs' `enforce`, one figure without a newline; selinux(8)",
        {"SEC-SELINUX runtime": fail("/sys/fs/selinux/enforce is 1")},
        {"/sys/fs/selinux/enforce": "1"},
    ),
    RecordedFault(
        "SELinux there, but its files are not",
        HOST,
        "/proc/filesystems and PID 1's label of a kernel with a policy, without /sys/fs/selinux",
        {
            "SEC-SELINUX runtime": unknown("not visible here"),
            "SEC-SELINUX persisted": fail("names no mode"),
        },
        {
            "/proc/filesystems": "nodev\tsysfs\nnodev\tselinuxfs\n\text4\n",
            "/proc/1/attr/current": "system_u:system_r:init_t:s0\0",
        },
    ),
    # --- chapter 8 ---
    RecordedFault(
        "swap partition in use",
        HOST,
        "proc_swaps(5); Debian 12 with a swap partition",
        {"SWAP-OFF runtime": fail("/dev/vda2 (partition, 999420 KiB, 0 used)")},
        {"/proc/swaps": f"{SWAPS}/dev/vda2                   partition\t999420\t0\t-2\n"},
    ),
    RecordedFault(
        "swap file in use, with a blank in its name",
        HOST,
        "proc_swaps(5); blanks are written \\040",
        {"SWAP-OFF runtime": fail("/var/swap file (file, 65532 KiB, 12 used)")},
        {"/proc/swaps": f"{SWAPS}/var/swap\\040file                        file\t65532\t12\t-3\n"},
    ),
    RecordedFault(
        "zram in use",
        HOST,
        "proc_swaps(5); Debian 12 with systemd-zram-generator",
        {"SWAP-OFF runtime": fail("/dev/zram0 (partition, 1006588 KiB, 0 used)")},
        {"/proc/swaps": f"{SWAPS}/dev/zram0                  partition\t1006588\t0\t100\n"},
    ),
    # --- chapter 9 ---
    RecordedFault(
        "module not loaded",
        HOST,
        "proc_modules(5); Debian 12's kernel without br_netfilter, which takes its files along",
        {
            "MOD-BR-NETFILTER runtime": fail("is neither loaded nor built into the kernel"),
            "BRIDGE-PROC runtime": fail("/proc/sys/net/bridge does not exist"),
            "SYS-BRIDGE-IPTABLES runtime": fail("the kernel has no net.bridge.bridge-nf-call-ipt"),
            "SYS-BRIDGE-IP6TABLES runtime": fail("the kernel has no net.bridge.bridge-nf-call-ip6"),
        },
        {
            **BUILT_IN,
            "/proc/modules": "bridge 311296 0 - Live 0x0000000000000000\n"
            "stp 16384 1 bridge, Live 0x0000000000000000\n",
        },
        {"br_netfilter.builtin": ""},
    ),
    RecordedFault(
        "module in the middle of being loaded",
        HOST,
        "proc_modules(5), the fifth field",
        {"MOD-BR-NETFILTER runtime": fail("says Loading")},
        {"/proc/modules": "br_netfilter 32768 1 - Loading 0x0000000000000000\n"},
    ),
    RecordedFault(
        "no IPVS where kube-proxy is to use it",
        HOST,
        "proc_modules(5); Debian 12's kernel without ip_vs and nf_conntrack",
        {
            "MOD-IP-VS runtime": fail("ip_vs is neither loaded nor built into the kernel"),
            "MOD-IP-VS persisted": fail("no line of modules-load.d names ip_vs"),
            "MOD-NF-CONNTRACK runtime": fail("nf_conntrack is neither loaded nor built into"),
            "MOD-NF-CONNTRACK persisted": fail("no line of modules-load.d names nf_conntrack"),
        },
        {
            "/proc/modules": "br_netfilter 32768 0 - Live 0x0000000000000000\n",
            "/sys/module/ip_vs": None,
            "/sys/module/nf_conntrack": None,
            "/proc/sys/net/ipv4/vs/amemthresh": None,
            "/proc/sys/net/netfilter/nf_conntrack_max": None,
        },
        {"br_netfilter.builtin": ""},
        inventory=(f"{HOST} ansible_host=", f"{HOST} hale_cmp_kube_proxy__mode=ipvs ansible_host="),
    ),
    RecordedFault(
        "no nftables where kube-proxy is to use it",
        HOST,
        "proc_modules(5); Debian 12's kernel without nf_tables and nf_conntrack",
        {
            "MOD-NF-TABLES runtime": fail("nf_tables is neither loaded nor built into the kernel"),
            "MOD-NF-TABLES persisted": fail("no line of modules-load.d names nf_tables"),
            "MOD-NF-CONNTRACK runtime": fail("nf_conntrack is neither loaded nor built into"),
            "MOD-NF-CONNTRACK persisted": fail("no line of modules-load.d names nf_conntrack"),
        },
        {
            "/proc/modules": "br_netfilter 32768 0 - Live 0x0000000000000000\n",
            "/sys/module/nf_conntrack": None,
            "/sys/module/nf_tables": None,
            "/proc/sys/net/netfilter/nf_conntrack_max": None,
        },
        {"br_netfilter.builtin": ""},
        inventory=(
            f"{HOST} ansible_host=",
            f"{HOST} hale_cmp_kube_proxy__mode=nftables ansible_host=",
        ),
    ),
    RecordedFault(
        "module blacklisted by an argument of the kernel",
        HOST,
        "the kernel's kernel-parameters, module_blacklist=",
        {"MOD-BR-NETFILTER persisted": fail("blacklists br_netfilter (kernel argument")},
        {"/proc/cmdline": "BOOT_IMAGE=/vmlinuz ro module_blacklist=floppy,br_netfilter\n"},
    ),
    RecordedFault(
        "swap named by an argument of the kernel",
        HOST,
        "systemd-fstab-generator(8), systemd.swap-extra=",
        {"SWAP-OFF persisted": fail("names /dev/vdb as swap")},
        {"/proc/cmdline": "BOOT_IMAGE=/vmlinuz ro systemd.swap-extra=/dev/vdb\n"},
    ),
)


def healthy(saved: EvidenceFile) -> EvidenceFile:
    """With the answers of a whole etcd, so that its row is green before a fault is put in."""
    return _with_etcd(saved, "three-of-three-by-3-6")


def changed(saved: EvidenceFile, fault: RecordedFault) -> EvidenceFile:
    """The evidence with the fault in it."""
    hosts = dict(saved.hosts)
    for key, text in fault.files.items():
        path, _, other = key.partition(" @")
        name = other or fault.host
        hosts[name] = _with_file(hosts[name], path, text)
    one = hosts[fault.host]
    outputs = dict(one.outputs)
    for key, printed in fault.outputs.items():
        outputs[key] = replace(one.outputs[key], stdout=printed, exit_status=0)
    clock = None if one.clock is None else one.clock + fault.clock
    hosts[fault.host] = replace(one, outputs=outputs, clock=clock)
    found = EvidenceFile(
        saved.schema, saved.inventory, saved.inventory_sha256, saved.profile, hosts
    )
    return _with_etcd(found, fault.etcd) if fault.etcd else found


def _with_file(evidence: Evidence, path: str, text: str | None) -> Evidence:
    listed = dict(evidence.files)
    listed.pop(path, None)
    if text is not None:
        lines = tuple(text.removesuffix("\n").split("\n"))
        listed[path] = File(path, "f", None, evidence.read_at, lines)
    return replace(evidence, files=listed)


def _with_etcd(saved: EvidenceFile, case: str) -> EvidenceFile:
    reported = tomllib.loads((ETCD / f"{case}.toml").read_text())["hosts"]
    hosts = dict(saved.hosts)
    for name, given in reported.items():
        output: Output = hosts[name].outputs[MEMBERS]
        printed = given.get("outputs", {}).get("members", {}).get("stdout", "")
        outputs = {**hosts[name].outputs, MEMBERS: replace(output, stdout=printed, exit_status=0)}
        hosts[name] = replace(hosts[name], outputs=outputs)
    return EvidenceFile(saved.schema, saved.inventory, saved.inventory_sha256, saved.profile, hosts)
