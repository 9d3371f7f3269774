# Link the CNI plugins into /opt/cni/bin, where network plugins install their own programs:
# containerd looks for all of them there.
if [ ! -e /opt/cni/bin/loopback ]; then
  for d in /usr/lib/cni /usr/libexec/cni; do
    [ -x $d/loopback ] || continue
    mkdir -p /opt/cni/bin
    for p in "$d"/*; do [ -e "/opt/cni/bin/${p##*/}" ] || ln -s "$p" /opt/cni/bin/; done
    break
  done
fi
[ -e /opt/cni/bin/loopback ] || {
  echo "no CNI plugins: neither kubernetes-cni nor containernetworking-plugins is there" >&2; exit 1
}
