"""Makes text from files and from the API safe for a terminal."""


def printable(text: str) -> str:
    """Return the text as one line. Control characters become escape sequences such as \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return the text with its tabs and line breaks. Other control characters become escape sequences such as
    \\x1b."""
    return "".join(c if c in "\t\n" else printable(c) for c in text)
