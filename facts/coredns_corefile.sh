# After local_apiserver.sh. Given: path (of CoreDNS's ConfigMap). Its Corefile alone, as a string of
# JSON: a site's zones beside it may be large.
corefile=$(api configmap "$path" | grep -oE '"Corefile":"([^"\\]|\\.)*"' | head -n 1 | head -c 8000)
[ -z "$corefile" ] || printf 'corefile %s\n' "${corefile#\"Corefile\":}"
