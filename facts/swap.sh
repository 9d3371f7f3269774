# Generators that are installed and not masked, and the devices below the root file system.
for name in zram-generator systemd-gpt-auto-generator; do
  for folder in /etc /usr/local/lib /usr/lib /lib; do
    file=$folder/systemd/system-generators/$name
    [ -e "$file" ] || continue
    if [ -f "$file" ] && [ -x "$file" ]; then echo "generator $name"; fi
    break
  done
done
# `systemd 252`: which kernel arguments its generators know. The name of its library has the version,
# which spares starting systemctl(1); it does not where there is no such library, or two.
version=
for file in /usr/lib/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so \
            /usr/lib/*/systemd/libsystemd-shared-*.so /lib/*/systemd/libsystemd-shared-*.so; do
  [ -e "$file" ] || continue
  found=${file##*/libsystemd-shared-}
  found=${found%%[!0-9]*}
  [ "${version:-$found}" = "$found" ] || { version=; break; }
  version=$found
done
if [ -n "$version" ]; then echo "systemd $version"
elif command -v systemctl >/dev/null; then
  systemctl --version | sed -n '1s/^\(systemd [0-9]*\).*/\1/p'
fi
# A shell reads a line byte by byte, and a node has hundreds of mounts: sed(1) is faster.
device=$(sed -n 's,^[^ ]* [^ ]* \([^ ]*\) [^ ]* / .*,\1,p' /proc/self/mountinfo) || exit
device=${device##*"
"}
echo "root $device"
below=/sys/dev/block/$device/slaves
for file in "$below"/*/dev "$below"/*/slaves/*/dev; do
  if [ -r "$file" ] && read -r number <"$file"; then echo "root $number"; fi
done
:
