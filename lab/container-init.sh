# What a machine does before its init begins, for a host of the lab: its PID 1 runs this and
# becomes systemd. Nothing of it is on the host's disk.
set -eu

# nspawn mounts the version 1 control groups read-only. They are the host's own part of them
# (cgroup_namespaces(7)), and a container runtime makes its groups there.
while read -r _ _ _ _ where options; do
    case $options in
        *" - cgroup "* | *" - cgroup2 "*) mount -o remount,bind,rw "$where" ;;
    esac
done < /proc/self/mountinfo

# Settings that belong to the machine, and that the kubelet or a baseline's remedy writes. The host
# gets files of its own in their place, with the values that a kernel starts with (sysctl/vm.rst,
# sysctl/kernel.rst, keyrings(7)): what is written there is read there, until the next boot.
mount -t tmpfs -o mode=755 settings /mnt
while read -r name value; do
    echo "$value" > "/mnt/${name##*/}"
    mount --bind "/mnt/${name##*/}" "/proc/sys/$name"
done << settings
vm/overcommit_memory 0
vm/panic_on_oom 0
kernel/panic 0
kernel/panic_on_oops 0
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
fs/inotify/max_user_instances 128
fs/inotify/max_user_watches 65536
settings
umount --lazy /mnt

# systemd does this where a kernel started it (mount_namespaces(7)); volumes of pods rely on it.
mount --make-rshared /

# A systemd for each user that logs in would hold four of the inotify instances that root has on
# the machine (inotify(7)), and with a cluster on the hosts they would not do. Each path unit holds
# one; these wait for somebody who is to type a password, and nobody is.
mkdir -p /run/systemd/system
for unit in user@.service systemd-ask-password-console.path systemd-ask-password-wall.path; do
    ln -s /dev/null "/run/systemd/system/$unit"
done

exec /usr/lib/systemd/systemd
