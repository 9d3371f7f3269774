# One request: read up to the empty line, answer. Given: folder.
while IFS= read -r line && [ "$line" != "$(printf '\r')" ]; do :; done
cat "$folder/answer"
