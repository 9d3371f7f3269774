# After a kubeadm init that failed: forget that it has begun if it has written nothing, as when its
# preflight checks fail. A CA that the site puts there from now on is the site's. Otherwise note the
# CA that it has made. After certificate_digest.sh and note_began.sh.
# Arguments: kubeadm's files. pki: its folder. given: the folder of copies. began: the note. ca: the
# CA's certificate.
written=$(
  for f; do [ ! -e "$f" ] || [ -e "$given$f" ] || echo "$f"; done
  find "$pki" ! -type d 2>/dev/null | while read -r f; do [ -e "$given$f" ] || echo "$f"; done
)
if [ -z "$written" ]; then rm -f "$began"
elif [ -s "$ca" ]; then note_began "$(certificate_digest "$ca")"; fi
