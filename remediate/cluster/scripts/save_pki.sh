# Before kubeadm reset: no key is deleted without a copy.
# pki: kubeadm's folder. removed: the folder of the copies.
if [ -n "$(find "$pki" -name '*.key' 2>/dev/null)" ]; then
  copy=$removed/pki.$(date -u +%Y%m%dT%H%M%S.%N)
  (umask 077; mkdir -p "$removed"; cp -a -- "$pki" "$copy")
  sync
  echo "note: $copy is a copy of $pki"
fi
