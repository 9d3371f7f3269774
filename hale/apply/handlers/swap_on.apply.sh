if [ -z "$(swap_entry)" ]; then
  exit_if_checking
  if [ "$priority" -lt 0 ]; then swapon -- "$device"; else swapon -p "$priority" -- "$device"; fi
fi
