# Given: comm (a process's name, of at most 15 characters), path (an extended regular expression).
for file in /proc/[0-9]*/comm; do
  { read -r name <"$file"; } 2>/dev/null && [ "$name" = "$comm" ] &&
    echo "$file"
done
grep -lzsE "$path" /proc/[0-9]*/cmdline
[ $? -le 2 ] && [ -r /proc/1/comm ]
