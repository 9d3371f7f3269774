# Arguments: kubeadm's files. Given: kubelet (its kubeconfig), rotating (text in it), began (Hale's
# note).
for f; do [ ! -e "$f" ] || echo "file $f"; done
[ ! -e "$began" ] || echo began
! grep -qs "$rotating" "$kubelet" || echo rotating
echo "kubelet $(systemctl is-active kubelet 2>/dev/null)"
command -v ss >/dev/null || { echo "ss (iproute2) is missing" >&2; exit 127; }
ss -Hltnp | while read -r _ _ _ at _ who; do
  who=${who#*\"}
  echo "port ${at##*:} ${who%%\"*}"
done
