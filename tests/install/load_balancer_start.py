"""Starts a release's haproxy with a configuration, in namespaces of its own, and says how it went.

Called by test_load_balancer_binaries.py: `ROOT FILES NETWORK`. ROOT is the release; FILES has what
stands in /etc/haproxy there, and the apiserver's certificate and key beside it. NETWORK: `ipv6`;
`sysctl`, with disable_ipv6=1; `absent`, where no socket of IPv6 can be opened, as with
ipv6.disable=1: a seccomp filter answers as such a kernel does.

On ports 80 and 443 a worker beside m1 answers with the port, if haproxy leads there.

Prints JSON: whether it listens; the checks' results by server, those of the ingress as
`backend/server`; the requests that the apiserver of m1 got from them, and through haproxy; what the
ingress's ports answer through haproxy; its tables of servers; haproxy's output.

Sources: seccomp(2), SECCOMP_SET_MODE_FILTER by prctl(2); the kernel's inet_create(), EAFNOSUPPORT.
"""

import csv
import ctypes
import errno
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

NAME, PORT = "api.example", 16443
INGRESS_PORTS = (80, 443)
ADDRESS, APISERVER_PORT = "10.0.0.1", 6443
PATIENCE = 40.0  # seconds until haproxy listens and has checked its servers

# seccomp's number of the architecture, and of its system call socket(2).
ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000  # seccomp
_NUMBER, _ARCHITECTURE, _FAMILY = 0, 4, 16  # offsets in struct seccomp_data


def refuse_ipv6() -> None:
    """No socket of IPv6 for this process and its children."""
    architecture, call = ARCHITECTURES[os.uname().machine]
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, _ARCHITECTURE),
            (_EQUAL, 0, 4, architecture),
            (_LOAD, 0, 0, _NUMBER),
            (_EQUAL, 0, 2, call),
            (_LOAD, 0, 0, _FAMILY),
            (_EQUAL, 1, 0, socket.AF_INET6),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _FAIL | errno.EAFNOSUPPORT),
        )
    )
    code = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    )
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_privileges, set_seccomp, filtered = 38, 22, 2
    if prctl(no_new_privileges, 1, 0, 0, 0) or prctl(set_seccomp, filtered, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def serve(files: Path, requests: list[str]) -> None:
    """m1's apiserver: answers 200 to GET /readyz for its own name, and 403 to all else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "apiserver.crt", files / "apiserver.key")
    listener = socket.create_server((ADDRESS, APISERVER_PORT))

    def answer(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as peer:
            text = b""
            while b"\r\n\r\n" not in text and (part := peer.recv(4096)):
                text += part
            first, *headers = text.decode().split("\r\n")
            host = next((h.split()[1] for h in headers if h.lower().startswith("host:")), "")
            requests.append(f"{first} {host}")
            status = "200 OK" if requests[-1] == f"GET /readyz HTTP/1.1 {NAME}" else "403 Forbidden"
            peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def serve_ingress(port: int) -> None:
    """The worker's: it has its own address's port while haproxy has that of all others."""
    listener = socket.create_server((ADDRESS, port), reuse_port=True)
    while True:
        with suppress(OSError), listener.accept()[0] as peer:
            peer.sendall(str(port).encode())


def ingress(port: int) -> str:
    """What the port answers through haproxy; empty if nothing does."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        return peer.recv(64).decode()
    return ""


def listens() -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE):
        return True
    return False


def asked(root: Path, command: bytes) -> str:
    """The stats socket's answer. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(root / "run/haproxy/admin.sock"))
        peer.sendall(command + b"\n")
        text = ""
        while part := peer.recv(65536):
            text += part.decode()
        return text


def checks(root: Path) -> dict[str, str]:
    """The result of each server's check, by haproxy's `show stat`."""
    with suppress(OSError):
        text = asked(root, b"show stat -1 4 -1")
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {
            row["svname"]
            if row["pxname"] == "apiservers"
            else f"{row['pxname']}/{row['svname']}": row["check_status"].removeprefix("* ")
            for row in rows
        }
    return {}


def through(files: Path) -> str:
    """The first line of the answer through haproxy, over TLS verified by the CA."""
    context = ssl.create_default_context(cafile=files / "apiserver.crt")
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as peer,
    ):
        peer.sendall(f"GET /readyz HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        return peer.recv(4096).decode().partition("\r\n")[0]
    return ""


def main(root: Path, files: Path, network: str) -> dict[str, object]:
    if network == "sysctl":
        for each in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{each}/disable_ipv6").write_text("1")
    requests: list[str] = []
    threading.Thread(target=serve, args=(files, requests), daemon=True).start()
    for port in INGRESS_PORTS:
        threading.Thread(target=serve_ingress, args=(port,), daemon=True).start()
    haproxy = subprocess.Popen(
        ["chroot", str(root), "/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=refuse_ipv6 if network == "absent" else None,
    )
    end = time.monotonic() + PATIENCE
    found: dict[str, str] = {}
    while haproxy.poll() is None and time.monotonic() < end:
        found = checks(root)
        if found and not {"", "INI"} & set(found.values()) and found["m2"].startswith("L4"):
            break
        time.sleep(0.05)
    distinct = sorted(set(requests))
    tables = ""
    with suppress(OSError):
        asked(root, b"disable server workers-443/w12")
        tables = asked(root, b"show servers state;show stat -1 4 -1")
    up = haproxy.poll() is None and listens()
    answer, end = "", time.monotonic() + PATIENCE
    # On a busy machine a check may be late, and the server down for a moment.
    while up and not answer and time.monotonic() < end:
        answer = through(files)
        time.sleep(0.05)
    result = {
        "listens": up,
        "checks": found,
        "requests": distinct,
        "answer": answer,
        "tables": tables,
        "ingress": [ingress(port) for port in INGRESS_PORTS],
    }
    haproxy.send_signal(signal.SIGKILL)
    return {**result, "output": haproxy.communicate()[0]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
