"""What the connection is told about a host, and what comes back from it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Where and how one host is reached: what ssh needs, and sudo.

    Whatever is None is left to ssh and its configuration (ssh_config(5)).
    """

    name: str  #: the host's name in the inventory, and in test ids
    address: str | None = None  #: ssh destination when other than `name` (ansible_host)
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None
    ssh_config: str | None = None  #: used instead of ~/.ssh/config
    ssh_args: tuple[str, ...] = ()  #: ansible_ssh_common_args, split into words
    become: bool = False
    become_user: str = "root"
    #: Asked once by the operator; goes to sudo's standard input, never into argv, env or a log.
    become_password: str | None = field(default=None, repr=False)
    connect_timeout: float = 5.0  #: seconds until the login has to be there, once more for sudo

    def __post_init__(self) -> None:
        if self.become_password is not None and "\n" in self.become_password:
            raise ValueError(f"{self.name}: a sudo password cannot contain a newline")


@dataclass(frozen=True)
class CommandResult:
    """How a command ended; `duration` in seconds, as seen from here.

    `exit_status` is the shell's: 0 to 255, and 128+n after signal n. 255 means nothing special.
    """

    exit_status: int
    stdout: bytes
    stderr: bytes
    duration: float


class HostUnreachable(Exception):
    """The one connection attempt failed; says why in ssh's own words, and the next step."""


class BecomeFailed(HostUnreachable):
    """ssh logged in, but sudo did not give the user we asked for."""


class ConnectionLost(HostUnreachable):
    """The connection ended under a command that had begun, or may have: it is not run again."""


class CommandTimeout(Exception):
    """A command did not end in its time; it was stopped on the host."""


class OutputTooLarge(Exception):
    """A command printed more than OUTPUT_LIMIT bytes; it was stopped on the host."""
