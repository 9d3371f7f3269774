# Arguments: the names. getent(1) exits with 2 for an unknown name; any other non-zero status is no
# answer. Root asks as a user without privileges: what root alone can read resolves for root alone.
RES_OPTIONS='timeout:2 attempts:1'; export RES_OPTIONS
# shellcheck disable=SC2016  # variables of the other shell
ask='
set -f
IFS="
"
for name; do
  printf "name %s\n" "$name"
  found=$(getent ahosts "$name"); r=$?
  [ $r = 0 ] || [ $r = 2 ] || exit $r
  [ $r = 2 ] || printf "is %s\n" $found
done
[ -r /etc/hosts ] || echo private
'
if [ -r /proc/1/environ ] && command -v setpriv >/dev/null; then
  exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$ask" sh "$@"
fi
eval "$ask"
# Root without setpriv(1).
[ ! -r /proc/1/environ ] || [ -n "$(find -L /etc/hosts -prune -perm -004)" ] || echo private
