# Before kubeadm init: copy the CAs that the site has put there, and note that init has begun, so
# that files of a PKI are kubeadm's own from now on. Done once, whatever interrupts it. Where a
# clean-up was interrupted before it brought the copies back, they are brought back now.
# Arguments: the files. given: the folder of their copies. removed: the folder of former copies.
# began: the note.
if [ ! -e "$began" ]; then
  [ ! -e "$given" ] || {
    (umask 077; mkdir -p "$removed")
    mv -T -- "$given" "$removed/given.$(date -u +%Y%m%dT%H%M%S.%N)"
  }
  for f; do
    [ ! -e "$f" ] || (umask 077; mkdir -p "$given${f%/*}"; cp -a -- "$f" "$given$f")
  done
  mkdir -p "${began%/*}"
  : >"$began.new"
  sync
  replace_file "$began.new" "$began"
else
  for f; do
    [ -e "$f" ] || [ ! -e "$given$f" ] || copy_file "$given$f" "$f"
  done
fi
