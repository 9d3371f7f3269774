# Given: unit, shown (its properties).
said=$(systemctl show --property="$shown" -- "$unit") || exit
printf '%s\n' "$said"
pid=$(printf '%s\n' "$said" | sed -n 's/^MainPID=//p')
[ "$pid" = 0 ] || grep -E '^Max (open files|processes|locked memory) ' "/proc/$pid/limits" || :
