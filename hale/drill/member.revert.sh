# Given: preference.
for family in -4 -6; do
  while ip "$family" rule del pref "$preference" 2>/dev/null; do :; done
done
[ -z "$(ip rule show pref "$preference")" ]
