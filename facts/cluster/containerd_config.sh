# What containerd's configuration amounts to, and what it is by default: of each the tables, and the
# settings that Hale may have to add. Nothing before containerd 2, or where it cannot read the file.
# config: containerd's file.
command -v containerd >/dev/null && [ -f "$config" ] || exit 0
case $(containerd --version | cut -d' ' -f3) in 0.* | v0.* | 1.* | v1.*) exit 0 ;; esac
settings() {
  sed -nE "s/^[[:space:]]*(\[|(sandbox|config_path|SystemdCgroup)[[:space:]]*=)/$1 \1/p"
}
effective=$(containerd -c "$config" config dump 2>/dev/null) || exit 0
printf '%s\n' "$effective" | settings effective
containerd config default 2>/dev/null | settings default
