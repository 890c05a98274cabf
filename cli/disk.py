"""Whether a failure means that the disk is full, and what to do then."""

import errno

REMEDY = "free some space, then run the same command again"
# EFBIG is the limit of a file's size, which a shell or a container may have set.
_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The words of Python and Postgres, then those of uv. All in lower case.
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
    """Whether a failed system call, or what a program says of its failure, means that nothing more can be written."""
    if isinstance(failure, OSError):
        return failure.errno in _NUMBERS
    said = failure.lower()
    return any(words in said for words in _WORDS)


def with_remedy(message: str) -> str:
    """What a program said, with what to do if the disk is full and nobody has said it yet."""
    return f"{message}: {REMEDY}" if is_full(message) and not says_what_to_do(message) else message


def says_what_to_do(message: str) -> bool:
    return "free some space" in message
