"""Child processes that end with their parent."""

import ctypes
import sys

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process `signal_number` when its parent ends (Linux only; does nothing elsewhere).

    Also after kill -9 of the parent, where no handler could stop the children.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal_number)
