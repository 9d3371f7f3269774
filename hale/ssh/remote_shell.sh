# Functions of the executing shell, each of which runs and frames one command; remote_shell.py
# sends them once a login, without comments.
#
# $1 is the nonce that ends the frame, $2 the command. The nonce arrives on standard input and is
# only an argument of functions and builtins: it is in no argv and no environment, so no command
# can print it.
#
# File descriptors: 6 and 7 are the channel's stdout and stderr, 8 the command's stdout on its way
# to the channel, 9 the pipe of $( ), which passes the exit status.

end_frame() {
  printf %s "$1" >&7
  printf '%s%s\n' "$1" "$2" >&6
}

# The command gets its own pipes, each read by a `cat` that ends only when *every* holder of the
# pipe has closed it (as sshd does), so that late output cannot leak into the next frame.
run_isolated() {
  exit_status=$({ {
    { ("$login_shell" -c "$2" </dev/null 2>&1 >&8 6>&- 7>&- 8>&- 9>&-)
      echo $? >&9; } | cat >&7
  } 8>&1 | cat >&6; } 9>&1)
  end_frame "$1" "$exit_status"
}

# $3 is the command's standard input; printf is a builtin, so that it is in no argv.
run_with_stdin() {
  exit_status=$({ {
    { (printf %s "$3" | "$login_shell" -c "$2" 2>&1 >&8 6>&- 7>&- 8>&- 9>&-)
      echo $? >&9; } | cat >&7
  } 8>&1 | cat >&6; } 9>&1)
  end_frame "$1" "$exit_status"
}

# For a command that leaves no process behind, as /bin/sh reads it: in a subshell of this shell, so
# that it may be longer than an argument (128 KiB, execve(2)). The nonce is none of its arguments.
run_simple() {
  (exec </dev/null >&6 2>&7 6>&- 7>&-; command=$2; set --; eval "$command")
  end_frame "$1" $?
}

# The same in the login shell, if that reads no start-up file: bash does under sshd.
run_childless() {
  ("$login_shell" -c "$2" </dev/null >&6 2>&7 6>&- 7>&-)
  end_frame "$1" $?
}
case ${login_shell##*/} in
  sh | dash | ash) ;;
  bash) [ -z "$SSH_CLIENT$SSH2_CLIENT$BASH_ENV" ] || run_childless() { run_isolated "$@"; } ;;
  *) run_childless() { run_isolated "$@"; } ;;
esac
