# After a kubeadm init that failed: forget that it has begun if it has written nothing, as when its
# preflight checks fail. A CA that the site puts there from now on is the site's.
# Arguments: kubeadm's files. pki: its folder. given: the folder of copies. began: the note.
written=$(
  for f; do [ ! -e "$f" ] || [ -e "$given$f" ] || echo "$f"; done
  find "$pki" ! -type d 2>/dev/null | while read -r f; do [ -e "$given$f" ] || echo "$f"; done
)
[ -n "$written" ] || rm -f "$began"
