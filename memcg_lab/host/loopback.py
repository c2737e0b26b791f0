"""Loopback TCP traffic, bounded in bytes and in time: ``python loopback.py BYTES SECONDS``, then a line on stdin.

A program of its own, so that it can be put into a cgroup of its own; standard library only, so that it starts at once.
It waits for the line, so that whoever started it can move it first. At the end it says how many bytes were sent and
received; those still in the sockets when the time was over are lost.
"""

import socket
import sys
import threading
import time

PAIRS = 4
CHUNK = 1 << 16


def sender(connection, nbytes, deadline, counts):
    """Send until the bytes or the time are over."""
    data, sent = bytes(CHUNK), 0
    try:
        while sent < nbytes and time.monotonic() < deadline:
            sent += connection.send(data[: nbytes - sent])
    except (TimeoutError, ConnectionError):
        pass  # the receiver's time is over
    connection.close()
    counts.append(sent)


def receiver(connection, nbytes, seconds, deadline, counts):
    """Read evenly over the time, so that sent bytes wait in the sockets."""
    start, received = time.monotonic(), 0
    try:
        while time.monotonic() < deadline:
            due = start + seconds * received / nbytes
            time.sleep(max(0.0, min(due, deadline) - time.monotonic()))
            data = connection.recv(CHUNK)
            if not data:
                break
            received += len(data)
    except (TimeoutError, ConnectionError):
        pass  # the time is over
    connection.close()
    counts.append(received)


def main(nbytes, seconds):
    """Run `PAIRS` connections at once."""
    sys.stdin.readline()
    deadline = time.monotonic() + seconds
    share, threads, sent, received = nbytes // PAIRS, [], [], []
    for _ in range(PAIRS):
        with socket.create_server(("127.0.0.1", 0)) as server:
            out = socket.create_connection(server.getsockname(), timeout=seconds)
            into, _ = server.accept()
        into.settimeout(seconds)
        threads.append(threading.Thread(target=sender, args=(out, share, deadline, sent)))
        # A little less than all of the time, so that the bytes come to an end within it.
        threads.append(threading.Thread(target=receiver, args=(into, share, 0.8 * seconds, deadline, received)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("sent", sum(sent), "received", sum(received))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
