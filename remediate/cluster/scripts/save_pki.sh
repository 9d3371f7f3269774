# Before kubeadm reset: no key is deleted without a copy.
# pki: kubeadm's folder. removed: the folder of the copies.
if [ -d "$pki" ]; then
  (umask 077; mkdir -p "$removed"; cp -a -- "$pki" "$removed/pki.$(date -u +%Y%m%dT%H%M%S.%N)")
  sync
fi
