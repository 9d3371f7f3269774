# Defines note_began: notes that kubeadm begins, or begins to be reset, with the words given.
# began: the note.
note_began() {
  mkdir -p "${began%/*}"
  echo "$*" >"$began.new"
  sync
  replace_file "$began.new" "$began"
}
