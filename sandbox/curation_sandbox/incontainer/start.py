#!/usr/bin/env python3
"""Starts an agent's program: puts files into HOME, relays a loopback port to the gateway's socket, passes signals on.

    python3 -I start.py [--files DIR] [--relay PORT] -- PROGRAM [ARGUMENT…]

The exit status is the program's (128 + signal if it was killed).
"""

# One file, standard library only, Python >= 3.11: it is mounted read-only into containers.

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

GATEWAY = "/run/curation/llm.sock"
PIECE = 64 * 1024
CONNECTIONS = 128
"""Open at a time; further ones wait in the listener's queue, and then in the kernel's."""
QUEUE = 1024
LAST_SECONDS = 30.0
"""For a program that does not read the end of a reply."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Starts an agent's program.")
    parser.add_argument("--files", type=Path, help="folder whose files are copied into HOME")
    parser.add_argument("--relay", type=int, metavar="PORT", help="loopback port relayed to the model gateway")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    if given.files is not None:
        try:
            copy_files(given.files, Path(os.environ["HOME"]))
        except OSError as error:  # the folder is full, say
            sys.stderr.write(f"start: the files cannot be put into HOME: {error.strerror}\n")
            return 125
    if given.relay is not None:
        try:
            listener = socket.create_server(("127.0.0.1", given.relay), backlog=QUEUE)
        except OSError as error:
            sys.stderr.write(f"start: cannot listen on 127.0.0.1:{given.relay}: {os.strerror(error.errno or 0)}\n")
            return 125
        threading.Thread(target=lambda: asyncio.run(relay(listener)), daemon=True).start()
    return run(given.command)


def run(command: list[str]) -> int:
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"start: {command[0]} cannot be run: {error.strerror}\n")
        return 127
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda caught, frame: child.send_signal(caught))
    code = child.wait()
    return 128 - code if code < 0 else code


# -- files -------------------------------------------------------------------------------------------


def copy_files(source: Path, home: Path) -> None:
    """Copy every regular file below ``source`` to the same place below ``home``. What an earlier turn may have put
    there (links, folders of that name) is replaced, never followed."""
    try:
        root = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        home.chmod(0o700)
        root = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    writable(root)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            write(root, path.relative_to(source).parts, path.read_bytes())
    os.close(root)


def write(root: int, parts: tuple[str, ...], content: bytes) -> None:
    folder = os.dup(root)
    for part in parts[:-1]:
        inner = enter(folder, part)
        os.close(folder)
        folder = inner
    name = parts[-1]
    scratch = f".{name}.curation"
    clear(folder, scratch)
    number = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with os.fdopen(number, "wb") as file:
        file.write(content)
    try:
        os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:  # a folder stands in its place
        put_aside(folder, name)
        os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.close(folder)


def enter(folder: int, name: str) -> int:
    """Open the folder of this name, made anew if something else has it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        number = os.open(name, flags, dir_fd=folder)
        writable(number)
        return number
    except FileNotFoundError:
        pass
    except OSError:
        put_aside(folder, name)
    os.mkdir(name, 0o700, dir_fd=folder)
    return os.open(name, flags, dir_fd=folder)


def writable(folder: int) -> None:
    """An earlier turn may have taken our right to write away."""
    found = os.fstat(folder)
    if found.st_uid == os.getuid() and found.st_mode & 0o700 != 0o700:
        os.fchmod(folder, 0o700)


def clear(folder: int, name: str) -> None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        put_aside(folder, name)
    else:
        os.unlink(name, dir_fd=folder)


def put_aside(folder: int, name: str) -> None:
    os.rename(name, f"{name}.{os.urandom(4).hex()}.aside", src_dir_fd=folder, dst_dir_fd=folder)


# -- the relay ---------------------------------------------------------------------------------------


async def relay(listener: socket.socket) -> None:
    """Pass every connection on to the gateway's socket, byte for byte."""
    free = asyncio.Semaphore(CONNECTIONS)
    at_work: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    while True:
        await free.acquire()
        try:
            taken, _ = await loop.sock_accept(listener)
        except OSError:  # no descriptors are left, or the peer is gone already
            free.release()
            await asyncio.sleep(0.05)
            continue
        task = asyncio.create_task(serve(taken))
        at_work.add(task)
        task.add_done_callback(at_work.discard)
        task.add_done_callback(lambda done: free.release())


async def serve(taken: socket.socket) -> None:
    """One connection, until the gateway has ended its side; if the gateway is gone it just ends."""
    try:
        # else a small last piece waits for the acknowledgement of the one before; asyncio does this by itself only
        # for sockets whose protocol number is given, which an accepted one's is not
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=taken, limit=PIECE)
    except OSError:
        taken.close()
        return
    try:
        up_reader, up_writer = await asyncio.open_unix_connection(GATEWAY, limit=PIECE)
        up = asyncio.create_task(pump(reader, up_writer))
        await pump(up_reader, writer)
        up.cancel()
        up_writer.close()
    except OSError:
        pass
    writer.close()  # what is still to be sent goes first
    try:
        await asyncio.wait_for(writer.wait_closed(), LAST_SECONDS)
    except (OSError, TimeoutError):
        writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:  # a connection that was reset must not hold its place at the gateway
        writer.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
