# Given: unseen.sh. What the searches of a boot's files share: names of scripts, and folders of them.
# Scripts that need no unit of their own; rc.local has one, which may be masked.
common_scripts='/etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/*'
[ /dev/null -ef /etc/systemd/system/rc-local.service ] ||
  common_scripts="/etc/rc.local /etc/rc.d/rc.local $common_scripts"
# Where a kernel's command line may name units: of this boot, and of those to come.
command_lines='/proc/cmdline /boot/loader/entries/*.conf /boot/grub*/grub.cfg /etc/default/grub /etc/kernel/cmdline'
# The units that root's own manager starts at boot where it lingers, and their drop-ins; of the site.
user_units='' of_root='/root/.config/systemd/user /etc/systemd/user /root/.local/share/systemd/user
/usr/local/lib/systemd/user /usr/local/share/systemd/user'
if [ -e /var/lib/systemd/linger/root ]; then
  unseen /root/.config/systemd/user/* /etc/systemd/user/* /root/.local/share/systemd/user/*
  for link in /root/.config/systemd/user/*.wants/* /etc/systemd/user/*.wants/*; do
    name=${link##*/} name=${name%.*}.service
    case $name in *[!A-Za-z0-9@:_.-]*) continue ;; esac
    for unit in $of_root; do
      for file in "$unit/$name" "$unit/$name.d"/*.conf; do
        case " $user_units " in *" $file "*) continue ;; esac
        case $file in *[!A-Za-z0-9@:_./-]*) continue ;; esac
        [ ! -f "$file" ] || user_units="$user_units $file"
      done
    done
  done
fi
# of_sleep LINK: whether it is of a target that no boot comes to.
of_sleep() {
  case $1 in
    */sleep.target.* | */suspend*.target.* | */hibernate.target.* | */hybrid-sleep.target.*) ;;
    *) return 1 ;;
  esac
}
# script_names FILE...: the absolute paths of what these scripts, units and crontabs may run by another
# name: `./x` and `x.sh` after cd or WorkingDirectory= (cron's own folder is /root), `~/x`, a program
# of /usr/local by its name alone, and what run-parts finds in a folder. With every_path, also each path
# below a folder of the site, and the files that sysctl(8) loads without being given a name. To be run
# in a subshell, with `set -f`.
script_names() {
  # Of those that exist, the files of text.
  # shellcheck disable=SC2046  # paths have no blanks
  set -- $(grep -lIs -D skip -d skip '' /dev/null "$@" </dev/null)
  [ $# -gt 0 ] || return 0
  set +f
  programs=
  for file in /usr/local/bin/* /usr/local/sbin/* /opt/bin/*; do
    [ ! -e "$file" ] || programs="$programs $file"
  done
  set -f
  folders=
  # The programs by standard input: one argument has 128 KiB at most.
  # shellcheck disable=SC2013,SC2086  # words
  for name in $(printf '%s\n' $programs | awk -v every_path="${every_path-}" -v quotes="[\"'\`()]" '
    BEGIN {
      site = "(^|[^A-Za-z0-9_.~-])/(etc|opt|root|srv|usr/local|usr/libexec|var/lib)/[A-Za-z0-9_./@+-]+"
      # What a line must have to be of interest, which spares looking at the words of the others.
      any = "WorkingDirectory=|(cd|pushd)[^A-Za-z0-9_.-]|[.]/|~/|HOME|[.](sh|bash|py|pl)|run-parts"
    }
    function show(path) { if (!shown[path]++) print path }
    of_site {
      name = $0
      sub(/.*\//, "", name)
      if (name != "" && !(name in own)) {
        own[name] = $0
        gsub(/[^A-Za-z0-9_-]/, ".", name)
        any = any "|" name
      }
      next
    }
    FNR == 1 { folder = "/root" }
    every_path {
      line = $0
      while (match(line, site)) {
        path = substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
        sub(/^[^\/]/, "", path)
        show(path)
      }
      # With a pattern, as in firewalld-sysctls.conf of firewalld, of its own parameters alone.
      if (/(^|[\/ \t"=])sysctl[ \t].*(-p|-f|--load|--system)/ && !/ --pattern .?net\[[.]\]netfilter/)
        show("/etc/sysctl.conf")
    }
    /^[ \t]*#/ || $0 !~ any { next }
    {
      line = $0
      gsub(quotes, " ", line)
      gsub(/[;&|]/, " ; ", line)
      sub(/^[ \t]*Exec[A-Za-z]*[ \t]*=[-@:+!]*/, "", line)
      n = split(line, word, /[ \t]+/)
      for (i = 1; i <= n; i++) {
        w = word[i]
        if (w ~ /^WorkingDirectory=-?\//) { folder = w; sub(/^[^\/]*/, "", folder) }
        else if ((w == "cd" || w == "pushd") && word[i + 1] ~ /^\//) folder = word[++i]
        else if (w ~ /^\.\/[A-Za-z0-9_]/) show(folder substr(w, 2))
        else if (w ~ /^~\/[A-Za-z0-9_.]/) show("/root" substr(w, 2))
        else if (w ~ /^[$][{]?HOME[}]?\/[A-Za-z0-9_.]/) { sub(/^[^\/]*/, "/root", w); show(w) }
        else if (w ~ /^[A-Za-z0-9_-]+[.](sh|bash|py|pl)$/) show(folder "/" w)
        else if (w in own) show(own[w])
        if (w ~ /(^|\/)run-parts$/)
          for (j = i + 1; j <= n && word[j] != ";"; j++) if (word[j] ~ /^\//) show(word[j] "/")
      }
    }
  ' of_site=1 - of_site= "$@" 2>/dev/null); do
    case $name in */) folders="$folders $name" ;; *) echo "$name" ;; esac
  done
  [ -n "$folders" ] || return 0
  set --
  set +f
  for folder in $folders; do set -- "$@" "$folder"*; done
  executables "$@"
}
# passed_over CRONTAB: whether Debian's cron does not read this file of /etc/cron.d, for its name; names
# as `com.example-job` need its option -l.
passed_over() {
  case $1 in */cron.d/*.*-*) return 1 ;; */cron.d/*) ;; *) return 1 ;; esac
  case ${1##*/} in *[!A-Za-z0-9_-]*) [ -e /usr/sbin/cron ] ;; *) return 1 ;; esac
}
# wireguard_files: the configurations whose commands wg-quick runs at boot.
wireguard_files() {
  for link in /etc/systemd/system/*.wants/wg-quick@*.service; do
    name=${link##*/wg-quick@}
    [ ! -h "$link" ] || echo "/etc/wireguard/${name%.service}.conf"
  done
}
# instance_scripts: the paths in the site's templates of units, with the instances (`%i`) that a boot
# starts.
instance_scripts() {
  set +f
  for link in /etc/systemd/system/*.wants/*@?*.service /etc/systemd/system/*.requires/*@?*.service; do
    unit=${link##*/}
    case $unit in *[!A-Za-z0-9@:_.-]*) continue ;; esac
    name=${unit#*@} unit=/etc/systemd/system/${unit%%@*}@.service
    [ -f "$unit" ] && [ -r "$unit" ] || continue
    sed -n "/^[[:blank:]]*Exec/s/%[iI]/${name%.service}/gp" "$unit" | grep -oE '/[[:alnum:]_./@+-]+'
  done
}
# variable_scripts UNIT...: the paths that variables of these units have, and the files of variables.
variable_scripts() {
  # shellcheck disable=SC2046,SC2086  # paths have no blanks
  set -- $(grep -hsE '^[[:blank:]]*Environment(File)?[[:blank:]]*=' /dev/null "$@" |
    sed "s/[[:blank:]]*=[[:blank:]]*/=/; s/[\"']/ /g")
  files=
  for word; do
    case $word in
      EnvironmentFile=*) files="$files ${word#EnvironmentFile=}" ;;
      *=/*) echo "${word##*=}" ;;
    esac
  done
  for file in $files; do
    file=${file#-}
    echo "$file"
    [ ! -f "$file" ] || [ ! -r "$file" ] || grep -hoE "=[\"']?/[[:alnum:]_./@+-]+" "$file" | sed 's/^[^/]*//'
  done
}
# odd_programs LINE...: tells `unseen` of the programs of units whose path has blanks: a quoted first
# word, or one with `\x20`.
odd_programs() {
  for line; do
    case $line in *[\"\']/* | *'\x20'*) ;; *) continue ;; esac
    program=$(printf '%s\n' "$line" | sed -n '
      /^[[:blank:]]*Exec/!d
      s/^[^=]*=[[:blank:]]*[-@:+!|]*//
      s/^\(["'\'']\)\(\/[^"'\'']*[[:blank:]][^"'\'']*\)\1.*/\2/p
      s/^"\{0,1\}\(\/[^" ]*\\x20[^" ]*\).*/\1/p')
    [ -z "$program" ] || unseen "/${program%/*}"
  done
}
# legacy_scripts: those of /etc/init.d that a boot runs, because no unit has their name.
legacy_scripts() {
  for file in /etc/rc[S2345].d/S*; do
    [ -f "$file" ] || continue
    name=${file##*/S[0-9][0-9]}
    for unit in /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system \
      /lib/systemd/system; do
      unit=$unit/${name%.sh}.service
      if [ -e "$unit" ] || [ -h "$unit" ]; then continue 2; fi
    done
    echo "$file"
  done
}
