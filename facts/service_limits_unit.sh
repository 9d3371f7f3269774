# Given: unit, shown (its properties).
output=$(systemctl show --property="$shown" -- "$unit") || exit
printf '%s\n' "$output"
pid=$(printf '%s\n' "$output" | sed -n 's/^MainPID=//p')
[ "$pid" = 0 ] || grep -E '^Max (open files|processes|locked memory) ' "/proc/$pid/limits" || :
