# Unpack packages of other Debian releases, with all they depend on, into a root for each: in the
# hosts' Debian, by its apt and keys. Nothing is configured, so no service is started.
# releases, packages: words.
set -eu
mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list | head -n 1)

unpack() {
    apt=/apt/$1 root=/roots/$1
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    echo "deb $mirror $1 main" >"$apt/sources.list"
    : >"$apt/status"
    set -- -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$apt/lists" -o Dir::State::Status="$apt/status" \
        -o Dir::Cache="$apt" -o APT::Install-Recommends=0 --quiet
    apt-get "$@" update
    # shellcheck disable=SC2086 # the names of several
    apt-get "$@" --yes --download-only install $packages
    # merged-usr: each package may have its files in /lib or in /usr/lib
    for d in bin sbin lib lib64; do
        mkdir -p "$root/usr/$d"
        ln -s "usr/$d" "$root/$d"
    done
    for package in "$apt"/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar --extract --keep-directory-symlink --exclude='./usr/share/*' --directory "$root"
    done
    # What the packages' scripts would have made.
    mkdir -p "$root/etc/haproxy" "$root/etc/keepalived" "$root/run/haproxy" "$root/dev" "$root/proc"
    { cat /etc/passwd; echo haproxy:x:900:900::/:; } >"$root/etc/passwd"
    { cat /etc/group; echo haproxy:x:900:; } >"$root/etc/group"
}

jobs=
for release in $releases; do
    unpack "$release" &
    jobs="$jobs $!"
done
for job in $jobs; do wait "$job"; done
