# Given: preference. Arguments: addresses and ranges.
command -v ip >/dev/null || { echo "ip is not installed" >&2; exit 127; }
for family in -4 -6; do
  [ -z "$(ip "$family" rule show pref "$preference" 2>/dev/null)" ] || {
    echo "there is a rule of preference $preference already: ip rule" >&2; exit 1
  }
done
# Whoever logged in from one of these addresses could not revert the fault. sudo hides it.
process=$$
while [ "${process:-0}" -gt 1 ]; do
  from=$(tr '\0' '\n' <"/proc/$process/environ" 2>/dev/null |
    sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p')
  for at; do
    [ "$at" != "$from" ] || { echo "this login comes from $at, which is to be disconnected" >&2; exit 1; }
  done
  process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status")
done
