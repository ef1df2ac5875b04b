"""Locks that the kernel gives up when the process that holds them ends, however it ends."""

import errno
import fcntl
from typing import IO, Any

from retmech.errors import warn

# What file systems say that know no such locks, as some of clusters do.
UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def lock(file: int, wait: bool) -> bool:
    """Lock an open file for this process; without locks in its file system, warn and return False.

    Raises
    ------
    BlockingIOError
        If another process holds it and it is not waited for.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        warn("this file system knows no locks: see to it that no other run works in this folder")
        return False
    return True


def share(file: int | IO[Any]) -> bool | None:
    """Take a lock beside others that share it, and return whether it could be had; None in a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
