"""Login users of every kind on one host of the lab, and how they are reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hale.ssh import Target
from lab.machine import Lab

HOST = "k8s-node-01"
PASSWORD = "correct horse 'battery' $taple"

_SCRIPT = r"""
set -eu
add() { # NAME SHELL
    useradd --create-home --shell "$2" "$1"
    install -d -m 700 -o "$1" "/home/$1/.ssh"
    install -m 600 -o "$1" /root/.ssh/authorized_keys "/home/$1/.ssh/authorized_keys"
}
printf '#!/bin/sh\nsleep 60\n' >/usr/local/bin/hanging-shell
chmod 755 /usr/local/bin/hanging-shell
add hale-sudo /bin/bash       # sudo without password
add hale-dash /bin/sh
add hale-fish /usr/bin/fish
add hale-asked /bin/bash      # sudo with password
add hale-noisy /bin/bash      # start-up files that print
add hale-none /usr/sbin/nologin
add hale-hang /usr/local/bin/hanging-shell
add hale-tty /bin/bash        # sudo wants a terminal
add hale-pty /bin/bash        # sudo makes one
add hale-never /bin/bash      # not in sudoers
usermod --password "$(openssl passwd -6 -stdin)" hale-asked
{ echo 'echo noise on stdout'; echo 'echo noise on stderr >&2'; } |
    tee -a /home/hale-noisy/.profile | cat - /home/hale-noisy/.bashrc >/tmp/noisy
mv /tmp/noisy /home/hale-noisy/.bashrc
chown hale-noisy /home/hale-noisy/.bashrc
cat >/etc/sudoers.d/hale-tests <<'EOF'
hale-sudo,hale-noisy,hale-fish,hale-dash,hale-tty,hale-pty ALL=(ALL) NOPASSWD: ALL
hale-asked ALL=(ALL) ALL
Defaults:hale-tty requiretty
Defaults:hale-pty use_pty
Defaults:hale-asked lecture=always
EOF
# fish makes folders in a fresh home; several at once complain.
su - hale-fish -c true
"""

_REMOVE = r"""
rm -f /etc/sudoers.d/hale-tests /usr/local/bin/hanging-shell
for user in sudo dash fish asked noisy none hang tty pty never; do
    pkill -KILL -u "hale-$user"
    userdel --remove "hale-$user" 2>/dev/null
done
true
"""


@contextmanager
def lab_users(lab: Lab) -> Iterator[None]:
    """The users exist on HOST inside the `with`."""
    host = lab[HOST]
    host.run(_REMOVE)
    host.run(_SCRIPT, input=PASSWORD.encode())
    try:
        yield
    finally:
        host.run(_REMOVE)


def reach(config: Path, user: str = "root", **how: object) -> Target:
    """HOST as that user."""
    return Target(name=HOST, user=user, ssh_config=str(config), **how)  # type: ignore[arg-type]
