"""Text of strangers, made fit for a terminal."""


def printable(text: str) -> str:
    """One line without control characters, whatever a file held: those are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
