# After processes.sh. A running program answers by its own binary, which an upgrade may have replaced
# since; one that does not run, or whose binary this user may not execute, by the installed one.
need grep stat tr
for name in kubelet containerd; do
  pid=$(unit_pids $name)
  pid=${pid%%"$newline"*}
  for from in ${pid:+running:/proc/$pid/exe} "installed:$name"; do
    command -v "${from#*:}" >/dev/null || continue
    capture "${from#*:}" --version
    [ "$r" = 0 ] || continue
    printf '%s %s %s\n' $name "${from%%:*}" "$(flat "$output")"
    break
  done
done
[ ! -e /etc/kubernetes/kubelet.conf ] || echo node
printf 'cgroup %s\n' "$(stat -fc %T /sys/fs/cgroup)"
