"""Faults of the file systems of a node: their space and their inodes are nearly used up.

A small file system in memory lies over the folder, as a disk of its own would.
"""

from lab.faults.fault import HostFault, fail, unknown

HOST, MASTER = "k8s-node-01", "k8s-master-02"
KUBELET, CONTAINERD, ETCD = "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/etcd"
CONFIG = "/etc/containerd"
ROOM = "size=10m,nr_inodes=1000"
# 8.8 of 10 MiB are in use.
FILL = "head -c 9230000 /dev/zero"
ROOTED = f"mkdir -p {CONFIG} && printf 'root = \"/srv/images\"\\n' >{CONFIG}/config.toml"


def small(folder: str, inject: str) -> str:
    """A small file system at this folder, which a command then fills."""
    return f"mkdir -p {folder} && mount -t tmpfs -o {ROOM} none {folder} && cd {folder} && {inject}"


FAULTS = (
    HostFault(
        "the kubelet's file system is nearly full",
        HOST,
        small(KUBELET, f"{FILL} >full"),
        {"DISK-KUBELET runtime": fail(f"{KUBELET}: only 12.0 % of the space free")},
        undo=f"umount {KUBELET}",
    ),
    HostFault(
        "the kubelet's file system has no inodes left",
        HOST,
        small(KUBELET, "for n in $(seq 950); do : >$n; done"),
        {"DISK-KUBELET runtime": fail("only 4.9 % of the inodes free")},
        undo=f"umount {KUBELET}",
    ),
    HostFault(
        "containerd's file system is nearly full",
        HOST,
        small(CONTAINERD, f"{FILL} >full"),
        {"DISK-CONTAINERD runtime": fail(f"{CONTAINERD}: only 12.0 % of the space free")},
        undo=f"umount {CONTAINERD}",
    ),
    HostFault(
        "containerd's images are on a file system of their own that is full",
        HOST,
        f"{ROOTED}; " + small("/srv/images", f"{FILL} >full"),
        {"DISK-CONTAINERD runtime": fail("/srv/images: only 12.0 % of the space free")},
        (CONFIG,),
        undo="umount /srv/images && rmdir /srv/images",
    ),
    HostFault(
        "containerd's root is a link to a disk that is not mounted",
        HOST,
        f"{ROOTED}; ln -s /mnt/disk/images /srv/images",
        {
            f"DISK-{name} runtime": unknown("/srv/images is a link to what is not there")
            for name in ("KUBELET", "CONTAINERD")
        },
        (CONFIG, "/srv/images"),
    ),
    HostFault(
        "etcd's file system is nearly full",
        MASTER,
        small(ETCD, f"{FILL} >full"),
        {"DISK-ETCD runtime": fail(f"{ETCD}: only 12.0 % of the space free")},
        undo=f"umount {ETCD}",
    ),
    HostFault(
        "a full file system that is not one of a node's",
        HOST,
        small("/srv/other", f"{FILL} >full"),
        undo="umount /srv/other && rmdir /srv/other",
    ),
)
