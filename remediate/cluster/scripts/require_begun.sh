# Before a clean-up: stop if what is here is not, or not any more, what Hale has begun; otherwise note
# that the clean-up begins. After certificate_digest.sh and note_began.sh.
# began: the note. noted: the CA in it, as it was observed. none: in its place for no CA. ca: the CA's
# certificate. kubelet, completed: the kubelet's kubeconfig, and text in it that shows that kubeadm
# has completed; empty for a join, whose node the cluster does not know.
stop() {
  echo "$1, so nothing was reset" >&2
  exit 1
}
[ -e "$began" ] || stop "there is no $began any more"
now=$(cut -d' ' -f1 <"$began")
[ "${now:-$none}" = "$noted" ] || stop "$began has changed"
[ -z "$completed" ] || ! grep -qs "$completed" "$kubelet" || stop "kubeadm has completed by now"
if [ -s "$ca" ]; then
  digest=$(certificate_digest "$ca")
  [ "$noted" != "$none" ] || [ -n "$(find "$ca" -newer "$began")" ] || stop "$ca is older than $began"
  [ "$noted" = "$none" ] || [ "$noted" = "$digest" ] || stop "$ca is not the CA that was noted"
  noted=${digest:-garbled}
fi
note_began "$noted" cleaning
