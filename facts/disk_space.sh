# Given: usual (the folders by default), containerd and kubelet (patterns of their configuration),
# manifest (etcd's). Prints `at FOLDER` for each, and then in the same order what stat(1) tells of
# the file system of each, or of the nearest folder above that is there.
need stat sed
root='s/^[[:space:]]*root\(_path\)\{0,1\}[[:space:]]*=[[:space:]]*["'\'']\(\/[^"'\'']*\).*/\2/p'
flag='s/.*--root-dir[= ]*\(\/[^[:space:]"'\'']*\).*/\1/p'
volume='/hostPath:[[:space:]]*$/{n;s/^ *path:[[:space:]]*["'\'']\{0,1\}\(\/[^"'\''#]*\).*/\1/p;}'
# shellcheck disable=SC2086  # patterns
named=$({
  sed -n "$root" $containerd
  sed -n "$flag" $kubelet
  sed -n "$volume" "$manifest"
} 2>/dev/null) || :
set -f
IFS=$newline
directories=
for folder in $usual $named; do
  folder=${folder%/} d=$folder
  while [ ! -e "$d" ]; do
    [ ! -L "$d" ] || { echo "$d is a link to what is not there" >&2; exit 3; }
    d=${d%/*} d=${d:-/}
    enter "$d"
  done
  echo "at $folder"
  directories=$directories$d$newline
done
# shellcheck disable=SC2086  # a line each
stat -f -c 'blocks %a %b inodes %d %c of %n' $directories
