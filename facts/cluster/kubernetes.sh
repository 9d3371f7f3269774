# Arguments: kubeadm's files. Given: admin and kubelet (kubeconfigs), rotating (text in it), ca, init_began
# and join_began (Hale's notes). After certificate_digest.sh.
for f; do [ ! -e "$f" ] || echo "file $f"; done
[ ! -e "$init_began" ] || echo "init $(cat -- "$init_began")"
[ ! -e "$join_began" ] || echo "join $(cat -- "$join_began")"
[ ! -s "$ca" ] || { digest=$(certificate_digest "$ca"); echo "ca ${digest:-garbled}"; }
[ ! -e "$init_began" ] || [ -z "$(find "$ca" -newer "$init_began" 2>/dev/null)" ] || echo newer
# The name of the first cluster that kubeadm's kubeconfig has; no key leaves the host.
[ ! -r "$admin" ] || awk '/^clusters:/ { in_it = 1; next } /^[a-z]/ { in_it = 0 }
  in_it && sub(/^[ -] name: */, "") { print "cluster " $0; exit }' "$admin"
! grep -qs "$rotating" "$kubelet" || echo rotating
echo "kubelet $(systemctl is-active kubelet 2>/dev/null)"
command -v ss >/dev/null || { echo "ss (iproute2) is missing" >&2; exit 127; }
ss -Hltnp | while read -r _ _ _ at _ who; do
  who=${who#*\"}
  echo "port ${at##*:} ${who%%\"*}"
done
