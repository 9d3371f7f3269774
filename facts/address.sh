# Arguments: addresses.
for a; do
  echo "of any $a" && ip -o addr show to "$a" && echo "of up $a" && ip -o addr show up to "$a" ||
    exit
done
