need curl grep tr
ask() {
  url=$1; shift
  capture curl -q -sSL --noproxy '*' --connect-timeout 3 --max-time 6 -o /dev/null \
    -w '\n@ %{http_code}\n' "$@" "$url"
  printf 'url %s %s %s\n' "$url" "$r" "$(flat "$output")"
}
