"""Counts oddities: contents of a file that look odd, but were read. The notices of the load report them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.core.kinds.values import Value
from chalicelib.core.reasons import Problem
from chalicelib.core.rules import is_undecodable
from chalicelib.formats.likely_encoding import is_wide, likely_encoding

# Words that programs write instead of a missing value, by their form in lower case. They are read as text, because they
# may also be names of people.
WORDS = {"null": "NULL", "none": "None", "nan": "NaN", "n/a": "N/A"}
_LONGEST = max(map(len, WORDS))
_MOST_GUESSES = 1000  # the encoding is guessed from at most this many undecodable records


def is_undecodable_record(raw: bytes, problems: Sequence[Problem]) -> bool:
    """Return whether the bytes of a rejected record are not valid in the file's encoding."""
    return any(map(is_undecodable, problems)) or is_wide(raw)


class Oddities:
    """Counts the texts that may mean "no value", and the undecodable records. A record is undecodable if its bytes are
    not valid in the file's encoding. These records are counted by their likely encoding."""

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()
        self._encodings: Counter[str] = Counter()

    @property
    def undecodable(self) -> int:
        """The number of undecodable records."""
        return self._encodings.total()

    def add_row(self, values: Sequence[Value | None]) -> None:
        """Count the odd texts of a valid row."""
        for value in values:
            if type(value) is str and len(value) <= _LONGEST and (word := WORDS.get(value.casefold())):
                self._words[word] += 1

    def add_reject(self, line: int, raw: bytes, problems: Sequence[Problem], times: int = 1) -> None:
        """Count a rejected record if it is undecodable. The record occurs `times` times, first on `line`."""
        if is_undecodable_record(raw, problems):
            is_known = self.undecodable >= _MOST_GUESSES
            encoding = self._likely() if is_known else likely_encoding(raw, is_first=line == 1)
            self._encodings[encoding] += times

    def kept(self) -> dict[str, Any]:
        """Return all counts as a dictionary that can be stored as JSON. `of` makes an equal object from it."""
        return {"words": dict(self._words), "encodings": dict(self._encodings)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Oddities":
        oddities = cls()
        oddities._words.update(kept.get("words", {}))
        oddities._encodings.update(kept.get("encodings", {}))
        return oddities

    def notices(self, encoding: str | None) -> list[str]:
        """Return a sentence for each kind of oddity in the file. `encoding` is the encoding in which it was read, or
        None for a file that is not text."""
        found = []
        if rows := self.undecodable:
            those = "1 row holds" if rows == 1 else f"{rows} rows hold"
            found.append(f"{those} bytes that are not valid {(encoding or 'utf-8').upper()}; {self.advice(encoding)}")
        if self._words:
            listed = ", ".join(f"{self._words[word]} × {word}" for word in WORDS.values() if self._words[word])
            found.append(f"these words were read as text: {listed}; leave a field empty if its value is missing")
        return found

    def advice(self, encoding: str | None) -> str:
        """Return what a user can do about the undecodable records. `encoding` is the encoding in which the file was
        read, or None for a file that is not text."""
        if encoding is None:  # only text files can be in another encoding
            return "write its texts in UTF-8"
        likely = self._likely()
        if encoding != "utf-8":
            return "declare the encoding in which the file was saved, or save it as CSV UTF-8"
        if not likely:
            return "declare the encoding of the file, such as windows-1251 or shift_jis, or save the file as CSV UTF-8"
        return f"the file looks like {likely}: declare encoding={likely} or save the file as CSV UTF-8"

    def _likely(self) -> str:
        if "utf-16be" in self._encodings:  # one record is enough: only the first record shows the byte order
            return "utf-16be"
        return max(self._encodings, key=self._encodings.__getitem__, default="")
