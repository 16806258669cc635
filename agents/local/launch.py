"""Become a server that cannot outlive the process that asked for it.

Run by path, as ``python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT…]``: it imports nothing of
the fleet. It gives up root when UID and GID are not ``-``, asks the kernel to send SIGNAL when the parent
dies (prctl(2), PR_SET_PDEATHSIG), and turns into PROGRAM. The order matters: a change of user clears the
request, and a parent that died before the request is noticed by its number.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    """Replace this process by the program named in `arguments`; raises OSError when it cannot."""
    parent, death_signal, user, group, program, *_ = arguments
    if user != "-":
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        raise SystemExit("the process that asked for this server is gone")
    os.execv(program, arguments[4:])  # noqa: S606 - no shell is what we want


if __name__ == "__main__":
    main(sys.argv[1:])
