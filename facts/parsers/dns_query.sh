# shellcheck disable=SC2016  # bash expands it
need od tr dd timeout
ask() {
  q='\022\064\001\000\000\001\000\000\000\000\000\000'
  IFS=.; for label in $2; do q="$q$(printf '\\%03o' ${#label})$label"; done; unset IFS
  q="$q"'\000\000\001\000\001'
  if command -v bash >/dev/null; then
    talk='exec 3<>"/dev/udp/$0/53" && cat >&3 && dd bs=4096 count=1 <&3'
    send() { timeout "${patience:-2}" bash -c "$talk" "$1"; }
  elif command -v socat >/dev/null; then
    send() { socat -t "${patience:-2}" - "UDP:$1:53"; }
  else
    missing "neither bash nor socat is installed: no DNS server can be queried"
  fi
  for _ in 1 2; do
    # shellcheck disable=SC2059  # the packet is a format
    got=$(
      printf "$q" | dd bs=512 iflag=fullblock 2>/dev/null | send "$1" 2>/dev/null |
        od -An -v -tx1 | tr -d ' \n'
    )
    [ -z "$got" ] || break
  done
  echo "dns $1 $2 ${got:-silent}"
}
