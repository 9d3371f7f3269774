# Stop and disable keepalived and haproxy, each where its configuration is one that Hale wrote. With
# one of the site's own, or that was edited since, it keeps running, and its files and package stay.
# keepalived, haproxy: their files, the configuration first. written: as of write_file.sh. vip:
# removed from this host's interfaces. Sets the arguments: the files to restore.
is_hales() {
  sum=$(sha256sum <"$1")
  if [ -f "$written$1" ]; then grep -qxF "${sum%% *}" "$written$1"
  else head -n 2 -- "$1" | grep -q '^# written by Hale'; fi
}
set --
for unit in keepalived haproxy; do
  [ "$unit" = keepalived ] && files=$keepalived || files=$haproxy
  conf=${files%% *}
  if [ ! -e "$conf" ] || is_hales "$conf"; then
    [ ! -e "$conf" ] || systemctl -q disable --now "$unit" 2>/dev/null || :
    # shellcheck disable=SC2086  # paths without blanks
    set -- "$@" $files
  fi
done
systemctl -q is-active keepalived ||
  ip -o addr show | grep -F " $vip/" | while read -r _ i _ a _; do ip addr del "$a" dev "$i"; done
