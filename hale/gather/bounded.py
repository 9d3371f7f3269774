"""testinfra's own backends read what a command prints without a limit; here they get one.

This holds for what Hale reads over them, and for a site's own checks.
"""

import importlib
import os
import selectors
import subprocess
from contextlib import suppress
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

from hale.model.budgets import MIB, OUTPUT_BYTES


class OutputUnlimited(Exception):
    """A host printed more than any command may; the message is complete."""

    def __init__(self) -> None:
        super().__init__(f"the host printed more than {OUTPUT_BYTES // MIB} MiB")


def limit_output() -> None:
    """Let the commands of testinfra's backends end with OutputUnlimited at OUTPUT_BYTES."""
    # The classes: a backend for Ansible makes others as it needs them.
    BaseBackend.run_local = _run_local  # type: ignore[method-assign]
    with suppress(ImportError, RuntimeError):  # optional; testinfra raises the latter without it
        importlib.import_module(
            "testinfra.backend.paramiko"
        ).ParamikoBackend._exec_command = _exec_command


def _run_local(self: BaseBackend, command: str, *args: str) -> CommandResult:
    """As BaseBackend.run_local."""
    encoded = self.encode(self.quote(command, *args))
    # A shell, as there: the command is a text for one.
    process = subprocess.Popen(
        encoded,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    out, err = bytearray(), bytearray()
    try:
        with selectors.DefaultSelector() as waiting, process.stdout, process.stderr:
            waiting.register(process.stdout, selectors.EVENT_READ, out)
            waiting.register(process.stderr, selectors.EVENT_READ, err)
            while waiting.get_map():
                for key, _ in waiting.select():
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        waiting.unregister(key.fileobj)
                    key.data.extend(data)
                    if len(out) + len(err) > OUTPUT_BYTES:
                        raise OutputUnlimited
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
    return self.result(process.returncode, encoded, bytes(out), bytes(err))


def _exec_command(self: Any, command: bytes) -> tuple[int, bytes, bytes]:
    """As ParamikoBackend._exec_command, which reads one stream after the other."""
    channel = self.client.get_transport().open_session()
    try:
        if self.get_pty:
            channel.get_pty()
        channel.exec_command(command)
        found = bytearray(), bytearray()
        for kept, read in zip(found, (channel.recv, channel.recv_stderr), strict=True):
            while data := read(1 << 16):
                kept.extend(data)
                if sum(map(len, found)) > OUTPUT_BYTES:
                    raise OutputUnlimited
        return channel.recv_exit_status(), bytes(found[0]), bytes(found[1])
    finally:
        channel.close()
