# Runs in mount and pid namespaces of its own: mounts and processes go when the build ends or dies.
# apt inside uses the machine's resolver, certificates and apt settings while the layer is built.
# In the environment: BASE, the Debian underneath, and STEPS, a script that runs in it.
set -eu
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=upper,workdir=work" root
mount --bind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
cp -L /etc/resolv.conf /etc/hosts root/run/
mount --bind root/run/resolv.conf root/etc/resolv.conf
mount --bind root/run/hosts root/etc/hosts
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    mount --bind /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/ca-certificates.crt
fi
apt-config dump Acquire > root/run/apt.conf
# No program that a package starts may set the machine's clock.
export APT_CONFIG=/run/apt.conf
exec setpriv --bounding-set=-sys_time --inh-caps=-sys_time chroot root /bin/sh -c "$STEPS"
