"""A small client program that misbehaves as its first argument says. It speaks the contract's lines, no Live API."""

import json
import os
import signal
import subprocess
import sys
import time


def tell(event, **data):
    print(json.dumps({"event": event, **data}), flush=True)


def obey():
    """Echo each command; leave at `quit` or when standard input closes."""
    for line in sys.stdin:
        command = json.loads(line)
        tell("heard", command=command)
        if command["do"] == "quit":
            return


def linger():
    """Live on until killed."""
    while True:
        time.sleep(3600)


def good():
    tell("hello", nice=os.getpriority(os.PRIO_PROCESS, 0), group_is_own=os.getpgid(0) == os.getpid())
    obey()


def leaves_with():
    print("no end of line", end="")
    sys.exit(int(sys.argv[2]))


def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


def deaf():
    """Never reads its standard input."""
    tell("ready")
    linger()


def ignores_term():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("ready")
    linger()


def tidies_up():
    """Leaves by itself at SIGTERM, with status 7."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    tell("ready")
    linger()


def closes_stdout():
    tell("ready")
    os.close(1)
    os.close(2)
    linger()


def closes_stdin():
    os.close(0)
    tell("ready")
    linger()


def noisy():
    """100 MB of lines, an event after each 10 MB."""
    block = b"%s\n" % (b"noise " * 16) * 1000
    for _ in range(10):
        for _ in range(10_000_000 // len(block)):
            os.write(1, block)
        tell("mark")
    obey()


def one_long_line():
    os.write(1, b'{"event":"' + b"x" * 5_000_000 + b'"}\n')
    tell("after")
    obey()


def garbage():
    os.write(1, bytes(range(256)) * 40 + b"\n\0\n\r\n")
    os.write(1, b'{"event": "\xff"}\n{"event"\n[]\n')
    tell("after")
    obey()


def prints():
    """Its third argument, piece by piece, on both streams."""
    for stream in (1, 2):
        for character in sys.argv[2].encode():
            os.write(stream, bytes([character]))
    os.write(1, b"\n")
    tell("after")
    obey()


def forks():
    """Has a child in its own group, one in a session of its own, and one that is nobody's child any more."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(3600)"]
    children = [subprocess.Popen(sleeper), subprocess.Popen(sleeper, start_new_session=True)]
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writer, b"%d" % os.getpid())
            linger()
        os._exit(0)
    orphan = int(os.read(reader, 20))
    os.wait()
    tell("children", pids=[child.pid for child in children] + [orphan])
    obey()
    os._exit(0)


def forgets_environment():
    """Its child is in another session, with nothing in its environment."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(3600)"],
        start_new_session=True,
        env={},
        stdout=subprocess.DEVNULL,
    )
    tell("children", pids=[child.pid])
    obey()
    os._exit(0)


globals()[sys.argv[1]]()
