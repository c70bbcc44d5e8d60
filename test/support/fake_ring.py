"""A peer of a frame ring that speaks nonsense: fake_ring.py serve PATH WHAT, or fake_ring.py knock PATH.

`serve` listens as a ring's writer does and says WHAT to everybody: nothing, zeros, noise, unsealed or scribbled; the
last two are a right hello with memory that can be made smaller, or that holds no ring. It prints a line when it listens
and one for each who knocks. `knock` comes as a reader does, says what is no hello, and prints a line when it is hung up on.
"""

import fcntl
import os
import socket
import struct
import sys

MAGIC = 0x73656D6172665041  # frame-ring-slots.h
F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4


def hello() -> bytes:
    """The writer's, of ABI 1: magic, version, role, answer, reserved, generation (frame-ring.c, struct hello)."""
    return struct.pack("<QIIIIQ32x", MAGIC, 1, 1, 0, 0, 7)


def memory(is_sealed: bool) -> int:
    fd = os.memfd_create("nonsense", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, os.urandom(1 << 20))
    if is_sealed:
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd


def say(connection: socket.socket, what: str) -> None:
    if what == "zeros":
        connection.send(bytes(64))
    elif what == "noise":
        connection.send(os.urandom(64))
    elif what in ("unsealed", "scribbled"):
        fd = memory(what == "scribbled")
        socket.send_fds(connection, [hello()], [fd])
        os.close(fd)


def serve(path: str, what: str) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    connections = []
    while True:
        connection, _ = listener.accept()
        say(connection, what)
        connections.append(connection)
        print("knocked", flush=True)


def knock(path: str) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    print("hung up on", flush=True)


if __name__ == "__main__":
    {"serve": serve, "knock": knock}[sys.argv[1]](*sys.argv[2:])
