"""Makes text from files and from the API safe for a terminal."""


def printable(text: str) -> str:
    """Return the text as one line. Control characters become escape sequences such as \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
