# After kubeadm join: forget that it has begun, unless it has failed and written something.
# Arguments: kubeadm's files. joined: its exit status. began: the note.
written=
for f; do [ ! -e "$f" ] || written=yes; done
[ "$joined" != 0 ] && [ -n "$written" ] || rm -f "$began"
exit "$joined"
