"""The held command line on a host of that name: ``python -m support.on_host NAME ARGUMENTS``.

It has namespaces of its own, for the name and for users: it must be root to name the host. Its processes are all here.
"""

import ctypes
import os
import socket
import sys
from pathlib import Path

from support.held import main

_USERS, _NAMES = 0x10000000, 0x04000000  # CLONE_NEWUSER and CLONE_NEWUTS


def _name_host(name: str) -> None:
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_USERS | _NAMES):
        raise OSError(ctypes.get_errno(), "unshare")
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"0 {user} 1")
    (own / "gid_map").write_text(f"0 {group} 1")
    socket.sethostname(name)


if __name__ == "__main__":
    _name_host(sys.argv.pop(1))
    main()
