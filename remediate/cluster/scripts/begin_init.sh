# Before kubeadm init: copy the CAs that the site has put there, and note that init has begun, and
# with which CA, so that files of a PKI are kubeadm's own from now on. The copies are made once,
# whatever interrupts it. Where a clean-up was interrupted before it brought the copies back, they
# are brought back now. After certificate_digest.sh and note_began.sh.
# Arguments: the files. given: the folder of their copies. removed: the folder of former copies.
# began: the note. ca: its certificate. none: noted where there is none. kubeadm: files of kubeadm's
# that are not there before init.
if [ ! -e "$began" ]; then
  for f in $kubeadm; do
    [ ! -e "$f" ] || { echo "$f is there by now: nothing was changed" >&2; exit 1; }
  done
  [ ! -e "$given" ] || {
    (umask 077; mkdir -p "$removed")
    mv -T -- "$given" "$removed/given.$(date -u +%Y%m%dT%H%M%S.%N)"
  }
  for f; do
    [ ! -e "$f" ] || (umask 077; mkdir -p "$given${f%/*}"; cp -a -- "$f" "$given$f")
  done
else
  for f; do
    [ -e "$f" ] || [ ! -e "$given$f" ] || copy_file "$given$f" "$f"
  done
fi
noted=
[ ! -s "$ca" ] || noted=$(certificate_digest "$ca")
note_began "${noted:-$none}"
