# Given: user; where it is empty, the ordinary user with the lowest number.
if [ -z "$user" ]; then
  least=
  while IFS=: read -r name _ uid _ _ _ shell; do
    case $shell in */nologin|*/false|*/true|/dev/null) continue;; esac
    case $uid in ''|*[!0-9]*) continue;; esac
    # From 65534 on: the overflow user and those that systemd allocates.
    if [ "$uid" -ge 1000 ] && [ "$uid" -lt 65534 ] && [ "$uid" -lt "${least:-65534}" ]
    then least=$uid user=$name; fi
  done </etc/passwd || exit
fi
