"""This module is the oracle for CSV: it says what the correct result for a file is. It follows the documented rules,
and shares no code with the product.

It is simple and slow. It decodes the whole file, tries every delimiter, and looks at every record byte by byte.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.fuzz.oracle_csv import Split, records, text_lines

MAX_COLUMNS = 400
HEAD = 64 * 1024  # bytes from which a file is understood
_COMMA, _QUOTE, _OTHERS = b","[0], b'"'[0], b";\t|"
_INVISIBLE = {0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065)}
_INVISIBLE |= set(range(0x2066, 0x206A))
_QUOTES = {"'", '"', "`", "[", "]", "\\", *map(chr, (0xAB, 0xBB, 0x2039, 0x203A, *range(0x2018, 0x2020)))}
_INVALID = "oracle.invalid"  # bytes that mean nothing in their encoding become a byte that is not UTF-8
codecs.register_error(_INVALID, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]
_OTHER_KINDS = (
    *(
        b"\x1f\x8b",
        b"Obj\x01",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x07\x08",
        b"\xff\xfe\0\0",
        b"\0\0\xfe\xff",
        b"PAR1",
        b"%PDF-",
        b"\xd0\xcf\x11\xe0",
        b"BZh",
        b"\xfd7zXZ",
    ),
    *(b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!\x1a", b"ORC", b"SQLite", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf"),
)
_MARKUP = ("<!doctype ", "<?xml", "<!--")
_HTML_TAGS = {
    "html",
    "head",
    "body",
    "table",
    "tr",
    "meta",
    "title",
    "style",
    "script",
    "link",
    "div",
    "p",
    "pre",
    "br",
}
_HTML_TAGS |= {"font", "center", *(f"h{level}" for level in range(1, 7))}


class Refused(Exception):
    """The file must fail as a whole. The message is the beginning of what the product says."""


class Aside(Exception):
    """The oracle does not read files of this kind."""


@dataclass(frozen=True)
class Names:
    """The names that may stand in headers: those of each column of the dataset, and those of all datasets. The first
    `fewest` columns must be in every file."""

    columns: tuple[frozenset[str], ...]
    everywhere: frozenset[str]
    fewest: int

    @classmethod
    def of(cls, dataset: Sequence[Sequence[str]], all_names: Sequence[str], fewest: int) -> "Names":
        """`dataset` has the name and the aliases of each column."""
        columns = tuple(frozenset(map(bare_name, names)) for names in dataset)
        return cls(columns, frozenset(map(bare_name, all_names)), fewest)

    def place(self, name: str) -> int | None:
        """The column that a bare name stands for."""
        return next((at for at, names in enumerate(self.columns) if name in names), None)


@dataclass(frozen=True)
class Found:
    """A record that is neither blank nor a header. `fields` come in the order of the file, one for each that the
    layout has, or None if there are fewer or more (`found` of them), or if the record cannot be split."""

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes, ...] | None
    found: int | None = None


@dataclass
class Understood:
    """How a file is to be read. `positions` has the column of each field, None for one that is ignored."""

    encoding: str
    delimiter: bytes
    positions: tuple[int | None, ...]
    ignored: tuple[str, ...] = ()
    has_header: bool = False
    has_sep_line: bool = False
    first: tuple[bytes, ...] | None = None  # the fields of a first record that is not a header
    lines: int = 0
    records: list[Found] = field(default_factory=list)


def understood(
    data: bytes,
    names: Names,
    encoding: str | None = None,
    delimiter: str | None = None,
    is_valid: Callable[[tuple[bytes, ...]], bool] = bool,
) -> Understood:
    """Read a file, of which encoding and delimiter may be declared. `is_valid` says whether the values of a record, one
    for each of the first columns, are valid. Raises Refused or Aside."""
    if data.startswith(_OTHER_KINDS) or (data[257:262] == b"ustar" and 0 in data[:257]):
        raise Aside
    complete = len(data) <= HEAD
    encoding = encoding or _marked(data)
    head, text = _decoded(data[:HEAD], encoding, complete), _decoded(data, encoding, True)
    _refuse_markup(head.decode("utf-8", "replace"))
    if _ends_lines_with_cr(head if complete else head.rstrip(b"\r")):
        head, text = head.replace(b"\r", b"\n"), text.replace(b"\r", b"\n")
    sep = _sep(head)
    sep_lines = 0 if sep is None else 1
    head_lines = text_lines(head) if complete else head.split(b"\n")
    chosen = ord(delimiter) if delimiter else sep or _fitting(head_lines[sep_lines:], names, complete)
    whole = [split for split in records(head_lines[sep_lines:], chosen, complete=complete) if not split.is_cut]
    seen = whole[0] if whole else None
    header = _header(seen.fields, names) if seen and seen.fields is not None else None
    found = Understood(_byte_order(encoding, data), bytes([chosen]), tuple(range(len(names.columns))))
    found.has_sep_line = bool(sep_lines)
    if header:
        found.positions, found.ignored = header
        found.has_header = True
    elif seen:
        found.first = seen.fields
        well_formed = [split.fields for split in whole if split.fields is not None]
        rows = [fields for fields in well_formed if _is_row(fields, names, is_valid)]
        for fields in (rows or well_formed)[:1]:
            found.positions = tuple(range(_width(fields, names)))
    lines = text_lines(text)
    found.lines = len(lines)
    _read(found, records(lines[sep_lines:], chosen), sep_lines, names, is_known=seen is not None)
    return found


def _width(fields: Sequence[bytes], names: Names) -> int:
    """The number of columns of a file without a header, if this record decides."""
    return max(names.fewest, min(len(fields), len(names.columns)))


def _is_row(fields: tuple[bytes, ...], names: Names, is_valid: Callable[[tuple[bytes, ...]], bool]) -> bool:
    width = _width(fields, names)
    return len(fields) >= width and all(map(is_nothing, fields[width:])) and is_valid(fields[:width])


def _read(found: Understood, splits: Iterable[Split], ahead: int, names: Names, *, is_known: bool) -> None:
    """Take the records below the header. Raises Refused for another header among them."""
    width = len(found.positions)
    for number, split in enumerate(splits):
        fields = split.fields
        if number == 0 and found.has_header:
            continue
        if number == 0 and not is_known and fields is not None and _is_header(fields, names):
            raise Refused("the header names ")  # it does not end within the first 64 KiB
        if _is_repeated(split, found, names) and not split.is_open:
            continue
        if fields is not None:
            while len(fields) > width and is_nothing(fields[-1]):
                fields = fields[:-1]
        count = None if fields is None else len(fields)
        fits = fields if count == width else None
        found.records.append(Found(split.line + ahead, split.lines, split.raw, fits, count))


def _ends_lines_with_cr(head: bytes) -> bool:
    """Whether there is CR and no LF, or LF only inside quotes. A quote counts if it stands at the beginning of a field,
    and if its closing quote stands at the end of a field or does not stand in `head`."""
    if 10 not in head:
        return 13 in head
    ends, outside, at = b",;|\t\r\n", bytearray(), 0
    while at < len(head):
        end = at
        if head[at] == _QUOTE and (at == 0 or head[at - 1] in ends):
            end = at + 1
            while end < len(head) and (head[end] != _QUOTE or head[end : end + 2] == b'""'):
                end += 2 if head[end] == _QUOTE else 1
            end = min(end + 1, len(head))
        if end > at and (end == len(head) or head[end] in ends):
            at = end
        else:
            outside.append(head[at])
            at += 1
    return 13 in outside and 10 not in outside


def _marked(data: bytes) -> str:
    """The encoding that a byte order mark says."""
    if data[:2] == b"\xff\xfe":
        return "utf-16le"
    return "utf-16be" if data[:2] == b"\xfe\xff" else "utf-8"


def _byte_order(encoding: str, data: bytes) -> str:
    if encoding != "utf-16":
        return encoding
    return "utf-16be" if data[:2] == b"\xfe\xff" else "utf-16le"


def _decoded(data: bytes, encoding: str, complete: bool) -> bytes:
    """The text in UTF-8, without a byte order mark, and without a character that the end cuts off."""
    if encoding == "utf-8":
        return data.removeprefix(b"\xef\xbb\xbf")
    decoder = codecs.getincrementaldecoder(_byte_order(encoding, data))(_INVALID)
    return decoder.decode(data, complete).removeprefix("\ufeff").encode("utf-8", "surrogateescape")


def _refuse_markup(text: str) -> None:
    """HTML, XML and JSON are no CSV, by their first characters."""
    text = text.lstrip(" \t\n\r\x0b\x0c")
    begins = re.sub(r"\s", " ", text[:12].lower(), flags=re.ASCII)
    if begins.startswith(_MARKUP):
        raise Refused("the file is ")
    if (tag := re.match(r"<([a-z_][\w:.-]*)", text, re.ASCII | re.IGNORECASE)) and _is_tag(tag[1], text[tag.end() :]):
        raise Refused("the file is ")
    inner = text[1:].lstrip(" \t\n\r\x0b\x0c")
    if text[:1] == "[" and inner[:1] in ("[", "{", "]"):
        raise Refused("the file is JSON")
    first_item = re.match(r'("(\\.|[^"\\])*"|-?[0-9][0-9.eE+-]*)[ \t\n\r\x0b\x0c]*,', inner, re.DOTALL)
    if text[:1] == "[" and first_item:
        raise Refused("the file is JSON")
    if text[:1] == "{" and (inner[:1] == "}" or re.match(r'"(\\.|[^"\\])*"[ \t\n\r\x0b\x0c]*:', inner, re.DOTALL)):
        raise Refused("the file is JSON")


def _is_tag(name: str, rest: str) -> bool:
    """Whether a `<` before a name begins a document. `rest` is the text after the name."""
    if re.split(r"[:.-]", name.lower())[0] in _HTML_TAGS:
        return True
    if re.match(r"[ \t\n\r\x0b\x0c]+[\w:.-]+[ \t\n\r\x0b\x0c]*=", rest, re.ASCII):
        return True
    inside, closed, after = rest.partition(">")
    return "<" not in inside and closed == ">" and after.lstrip(" \t\n\r\x0b\x0c")[:1] == "<"


def _sep(head: bytes) -> int | None:
    """The delimiter that a first line such as `sep=;` says; the line may stand in quotes."""
    line = head.split(b"\n")[0].rstrip(b"\r").removeprefix(b'"').removesuffix(b'"')
    if len(line) == 5 and line[:4].lower() == b"sep=" and line[4] in (_COMMA, *_OTHERS):
        return line[4]
    return None


def _fitting(lines: list[bytes], names: Names, complete: bool) -> int:
    """The delimiter: a comma if any record fits by it, or if none fits at all; else that by which most fit."""
    fitting = {}
    for delimiter in (_COMMA, *_OTHERS):
        widths, id_at, fitting[delimiter] = (names.fewest, len(names.columns)), 0, 0
        for number, split in enumerate(records(lines, delimiter, complete=complete)):
            if split.is_cut:
                break
            if split.fields is None:
                continue
            if number == 0 and len(split.fields) > 1 and _is_header(split.fields, names):
                fitting[delimiter] += 1
                positions = tuple(names.place(bare_name(t)) for t in _texts(_without_empty_end(split.fields)))
                if _faultless(positions, names):
                    widths, id_at = (len(positions), len(positions)), positions.index(0)
            else:
                fitting[delimiter] += _fits(split.fields, widths, id_at)
        if delimiter == _COMMA and fitting[_COMMA]:
            return _COMMA
    best = max(fitting, key=lambda delimiter: fitting[delimiter])  # the first of equal ones
    return best if fitting[best] else _COMMA


def _fits(fields: tuple[bytes, ...], widths: tuple[int, int], id_at: int) -> bool:
    """Whether a record has the columns, and a whole number as its id. White space around the number may be anything
    but a tab: that belongs to a file that is separated by tabs."""
    texts = _texts(fields)
    fewest, most = widths
    if len(texts) < fewest or not all(map(is_nothing, fields[most:])) or "\t" in texts[id_at]:
        return False
    return is_whole(texts[id_at])


def _header(fields: tuple[bytes, ...], names: Names) -> tuple[tuple[int | None, ...], tuple[str, ...]] | None:
    """The columns by name and the names of ignored fields; None if the record is not a header."""
    if not _is_header(fields, names):
        return None
    texts = _texts(_without_empty_end(fields))
    positions = tuple(names.place(bare_name(text)) for text in texts)
    if not _faultless(positions, names):
        raise Refused("the header names ")
    return positions, tuple(_shown(text) for text, place in zip(texts, positions, strict=True) if place is None)


def _faultless(positions: Sequence[int | None], names: Names) -> bool:
    """Whether each column is there once, or not at all if it may be left out, and the header is not too wide for a row
    of Postgres."""
    times = [positions.count(place) for place in range(len(names.columns))]
    return len(positions) <= MAX_COLUMNS and max(times) == 1 and all(times[: names.fewest])


def _is_header(fields: Sequence[bytes], names: Names) -> bool:
    texts = _texts(fields)
    return any(bare_name(text) in names.everywhere for text in texts) and not any(map(is_whole, texts))


def _is_repeated(split: Split, found: Understood, names: Names) -> bool:
    """Whether a record below the first one is the header again. Raises Refused if it is another header.

    At least two fields must be names, because a word in a row may look like one. A record that could be a row is never
    a header. Programs that write spaces before quotes make headers that cannot be split: quotes do not count here.
    """
    positions = found.positions
    if split.fields is not None and len(split.fields) >= len(positions):
        if is_whole(_texts(split.fields)[positions.index(0)]):
            return False
        if len(split.fields) < 4096 and _equals(split.fields, found, names):
            return True
    line = re.split(rb"[\r\n]", split.raw)[0]
    fields = _without_empty_end(re.split(rb"[,;|\t]", line))
    bare = [bare_name(text) for text in _texts(fields)]
    if split.raw.lstrip(b' \t"')[:1].isdigit() or len(line) > 4096 or len(bare) != len(positions):
        return False
    if any(map(is_whole, _texts(fields))) or len(names.everywhere & set(bare)) < 2:
        return False
    for name, place in zip(bare, positions, strict=True):
        if name in names.everywhere and names.place(name) != place:
            raise Refused("the header names ")
    is_whole_record = line == split.raw.rstrip(b"\r\n")  # otherwise rows follow the header in the same record
    named = {names.place(name) for name in bare if name in names.everywhere}
    return is_whole_record and named >= set(positions) - {None}


def _equals(fields: tuple[bytes, ...], found: Understood, names: Names) -> bool:
    """Whether these fields name just the columns of the file, or fewer columns in a file where empty fields leave out
    their columns. Raises Refused if they name other columns, and empty fields fill up the record."""
    named = tuple(names.place(bare_name(text)) for text in _texts(_without_empty_end(fields)))
    if named == found.positions:
        return True
    if names.fewest == len(names.columns) or len(named) >= len(found.positions) or len({*named} - {None}) < 2:
        return False
    if found.has_header or named != found.positions[: len(named)]:
        raise Refused("the header names ")
    return len(named) >= names.fewest


def _without_empty_end(fields: Sequence[bytes]) -> list[bytes]:
    kept = list(fields)
    while kept and not kept[-1].strip(b' \t\r"'):
        kept.pop()
    return kept


def is_nothing(field: bytes) -> bool:
    return all(c.isspace() or ord(c) in _INVISIBLE for c in field.decode("utf-8", "replace"))


def _texts(fields: Sequence[bytes]) -> list[str]:
    return [field.decode("utf-8", "replace") for field in fields]


def bare_name(text: str) -> str:
    """Return the part of a name in a header that counts: the name without its case, white space, hyphens, underscores,
    quotes and invisible characters."""
    return "".join(c for c in _seen(text) if c not in "-_").casefold()


def _seen(text: str) -> str:
    return "".join(c for c in text if ord(c) not in _INVISIBLE and not c.isspace() and c not in _QUOTES)


def is_whole(text: str) -> bool:
    """Whether a text is a whole number; it may have a sign, and end with a point and zeros."""
    text = _seen(text)
    whole, _, zeros = (text[1:] if text[:1] in ("+", "-") else text).partition(".")
    return whole.isdecimal() and not zeros.strip("0")


def _shown(name: str) -> str:
    """An ignored column's name as it is listed: without control characters and invisible ones, at most 40."""
    kept = (c for c in name.strip() if ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 and c not in "\u2028\u2029")
    return "".join(c for c in kept if ord(c) not in _INVISIBLE)[:40].strip() or "(nothing)"
