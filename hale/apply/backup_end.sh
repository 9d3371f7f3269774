# After the last step. Given: run, the run's folder; runs, the folder of all runs.
# shellcheck disable=SC2086  # the folders' names are ours: no blanks
[ -z "$unused" ] || rmdir -p -- $unused 2>/dev/null
set -- "$run"/*/original
[ ! -e "$1" ] || sha256sum -- "$@" || exit
[ ! -e "$run" ] || { find "$run" -exec sync {} + && sync "$runs" "$HALE_HOME"; }
