"""How a host is reached, the result of a command, and the errors of a connection."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Where and how one host is reached, by ssh and sudo.

    None leaves a value to ssh and its configuration (ssh_config(5)).
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
    #: Typed by the operator; goes to sudo's standard input, never into argv, env or a log.
    become_password: str | None = field(default=None, repr=False)
    #: ansible_host_key_checking=false: the host may have any key. It is sent no password then.
    any_host_key: bool = False
    connect_timeout: float = 5.0  #: seconds for the login, and again for sudo

    def __post_init__(self) -> None:
        if self.become_password is not None and "\n" in self.become_password:
            raise ValueError(f"{self.name}: a sudo password cannot contain a newline")


@dataclass(frozen=True)
class CommandResult:
    """The result of a command; `duration` in seconds, measured here; `began`: monotonic(3).

    `exit_status` is the shell's: 0 to 255, 128+n after signal n. 255 has no special meaning.
    """

    exit_status: int
    stdout: bytes
    stderr: bytes
    duration: float
    began: float = 0.0


class RemoteError(Exception):
    """A command gave no result. An exit status is a result."""


class HostUnreachable(RemoteError):
    """The connection attempt failed; the message has ssh's own words and the next step."""


class BecomeFailed(HostUnreachable):
    """ssh logged in, but sudo did not switch to the target user."""


class ConnectionLost(HostUnreachable):
    """The connection ended while a command ran, or may have run: it is not run again."""


class CommandTimeout(RemoteError):
    """A command exceeded its timeout and was stopped on the host."""


class OutputTooLarge(RemoteError):
    """A command printed more than OUTPUT_LIMIT bytes and was stopped on the host."""
