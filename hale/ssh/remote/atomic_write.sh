# replace_file NEW FILE: NEW, on the same file system, takes FILE's place, and both are on disk.
replace_file() {
  sync "$1"
  mv -fT -- "$1" "$2"
  sync "${2%/*}"
}
