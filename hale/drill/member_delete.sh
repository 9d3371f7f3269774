# After hale/apply/karmada_client.sh. Given: space, patience (seconds).
karmada delete namespace "$space" --ignore-not-found --wait --request-timeout 0 \
  --timeout "${patience}s" >/dev/null
