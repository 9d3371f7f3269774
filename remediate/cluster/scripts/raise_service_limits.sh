# Given: units, the folder of the site's units. Arguments: for each limit the service, its drop-in,
# the setting (LimitNOFILE) and the minimum as systemd has it. A start that would give less gets the
# minimum by the drop-in; nothing is lowered. What runs keeps its limits until it starts again.
reaches() {
  [ "$1" = infinity ] || { [ -n "$1" ] && [ "$2" != infinity ] && [ "$1" -ge "$2" ]; }
}
while [ $# -ge 4 ]; do
  unit=$1 folder=$units/$1.d dropin=$2 setting=$3 least=$4
  shift 4
  soft=$(systemctl show -p "${setting}Soft" -- "$unit") soft=${soft#*=}
  hard=$(systemctl show -p "$setting" -- "$unit") hard=${hard#*=}
  ! reaches "$soft" "$least" || continue
  reaches "$hard" "$least" || hard=$least
  mkdir -p "$folder"
  printf '[Service]\n%s=%s:%s\n' "$setting" "$least" "$hard" >>"$folder/$dropin"
  echo "$unit starts with $setting=$least:$hard"
done
systemctl daemon-reload
