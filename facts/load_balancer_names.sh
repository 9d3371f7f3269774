# Arguments: the masters that the inventory names without an IP address. Given: config (haproxy's),
# most (the highest number of names). Looks up the host names of its servers, all at once, as
# haproxy does when it starts; getent(1) exits with 2 for an unknown name.
RES_OPTIONS='timeout:2 attempts:1'; export RES_OPTIONS
need sed grep sort head tr getent timeout
b='[[:space:]]' w='[^[:space:]]+'
servers() {
  [ -e "$config" ] || return 0
  sed -nE "s/^$b*server$b+$w$b+($w).*/\1/p; s/^$b*server-template$b+$w$b+$w$b+($w).*/\1/p" \
    "$config" | tr -d "\"'" | sed -E 's/#.*//; s/^ipv[46]@//; s/:[^:]*$//' |
    grep -E '^[A-Za-z0-9_][A-Za-z0-9._-]*$' | grep '[A-Za-z]'
}
look_up() {
  found=$(timeout 8 getent ahosts "$1")
  printf 'name %s %s %s\n' "$1" "$?" "$(flat "$(printf '%s' "$found" | sed 's/[[:space:]].*//')")"
}
[ ! -e "$config" ] || readable "$config"
names=$({ [ $# = 0 ] || printf '%s\n' "$@"; servers; } | sort -u | head -n "$most")
for name in $names; do look_up "$name" & done
wait
echo end
