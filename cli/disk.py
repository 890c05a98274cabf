"""Recognizes failures that mean a full disk, and tells the user what to do."""

import errno

REMEDY = "free some space, then run the same command again"
# EFBIG: the file is larger than a limit that a shell or a container has set.
_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# First the messages of Python and Postgres, then those of uv, all in lower case.
_WORDS = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "disk full",
    "os error 28)",
    "os error 122)",
    "os error 27)",
)


def is_full(failure: OSError | str) -> bool:
    """Return whether a failed system call, or a program's error message, means that the disk is full."""
    if isinstance(failure, OSError):
        return failure.errno in _NUMBERS
    message = failure.lower()
    return any(words in message for words in _WORDS)


def with_remedy(message: str) -> str:
    """Return an error message. If the message means a full disk and has no remedy, add the remedy."""
    return f"{message}: {REMEDY}" if is_full(message) and not says_what_to_do(message) else message


def says_what_to_do(message: str) -> bool:
    return "free some space" in message
