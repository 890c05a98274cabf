"""Writes rejects as a CSV file. A user can correct the rows in this file, and upload the file.

The file has the line of each reject, the columns of the original file with their original names, and the reasons. If a
record could not be split into fields, the column `raw` has the whole record. If the rejects are
from a request or from a file without a header, each row may leave out other columns, and the column `left_out` names
them. When the corrected file is loaded, these additional columns are not merged, and the apostrophes that protect from
formulas are removed.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.texts import as_file_name
from chalicelib.formats.csv_patterns import split
from chalicelib.formats.formulas import guarded, unguarded
from chalicelib.ingest.upload_forms import named_for
from chalicelib.loads.history import RejectedFile

LINE, REASONS, RAW, LEFT_OUT = "line", "reasons", "raw", "left_out"
_ADDED = (LINE, REASONS, RAW, LEFT_OUT)
_WAITING = " (the row still waits for it)"
_ENDINGS = (".gz", ".csv", ".tsv", ".txt", ".xlsx", ".avro")


def text_of(dataset: Dataset, file: RejectedFile, rejects: Iterable[Mapping[str, Any]]) -> str:
    """Return the CSV file of rejects. It has the delimiter of the original file. `rejects` are lines of the reject
    file, with `waiting`."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=file.delimiter)
    names = file.file_columns or dataset.column_names
    kept = [at for at, name in enumerate(names) if not (_is_corrected(names) and name.casefold() in _ADDED)]
    own_names = (names[at].replace("\r\n", "\n") for at in kept)  # clients cut the header of further parts at CR LF
    last = (LEFT_OUT,) if _has_left_out(dataset, file) else ()
    writer.writerow(map(guarded, (LINE, *own_names, REASONS, RAW, *last)))
    for reject in rejects:
        fields = _own_fields(file, names, reject)
        sent = [fields[at] for at in kept] if fields else [""] * len(kept)
        own = ["" if _is_damaged(reject, field) else field for field in sent]
        raw = "" if fields and own == sent else reject["raw"]
        left_out = (_left_out(dataset, reject),) if last else ()
        writer.writerow(map(guarded, (str(_place(reject)), *own, _reasons(reject), raw, *left_out)))
    return out.getvalue()


def file_name(dataset: Dataset, file: RejectedFile, load_id: int) -> str:
    """Return the name of the CSV file. It is the name of the original file with `-rejects` at its end, without the
    characters that a file name must not have. `dataset_of` finds the dataset in it."""
    name = file.source.rpartition("/")[2] if file.source.startswith("s3://") else f"load-{load_id}"
    for ending in _ENDINGS:
        name = name[: -len(ending)] if name.casefold().endswith(ending) else name
    ending = "tsv" if file.delimiter == "\t" else "csv"
    return named_for(dataset, as_file_name(f"{name}-rejects.{ending}"))


def _has_left_out(dataset: Dataset, file: RejectedFile) -> bool:
    """Return whether the rows of a load may leave out different columns. Under a header, all rows have the columns that
    it names, unless the file contains corrected rejects."""
    names = [name.casefold() for name in file.file_columns or ()]
    may_differ = not names or (REASONS in names and LEFT_OUT in names)
    return may_differ and dataset.fewest < len(dataset.columns)


def _left_out(dataset: Dataset, reject: Mapping[str, Any]) -> str:
    """Return the names of the columns that a rejected row left out. If the row could not be split into columns, these
    are all columns that a row may leave out."""
    row = reject["row"]
    # In the row of a request, a column is null if it was sent as null and also if it was left out.
    if row is not None and "index" in reject:
        row = dict.fromkeys(json.loads(reject["raw"]), "")
    names = dataset.column_names[dataset.fewest :]
    return " ".join(name for name in names if row is None or row.get(name) is None)


def _is_corrected(names: Sequence[str]) -> bool:
    return REASONS in map(str.casefold, names)


def _own_fields(file: RejectedFile, names: Sequence[str], reject: Mapping[str, Any]) -> list[str] | None:
    """Return the fields of a record in the order of its file, or None if the record could not be split."""
    row = reject["row"]
    if row is None:
        return None
    if not file.file_columns:
        return [row.get(name) or "" for name in names]  # an earlier release did not know the column
    fields = split(reject["raw"].encode(), file.delimiter.encode())[: len(names)]
    if _is_corrected(names):
        fields = list(map(unguarded, fields))
    return [field.decode() for field in fields] if len(fields) == len(names) else None


def _is_damaged(reject: Mapping[str, Any], field: str) -> bool:
    """Return whether a field had bytes that are not valid. U+FFFD stands for them. The CSV file leaves such a field
    empty: otherwise, U+FFFD would be stored if somebody sent the file again without a correction."""
    return "raw_base64" in reject and "\ufffd" in field


def _place(reject: Mapping[str, Any]) -> int:
    return int(reject["line"] if "line" in reject else reject["index"])


def _reasons(reject: Mapping[str, Any]) -> str:
    return "; ".join(reject["reasons"]) + (_WAITING if reject["waiting"] else "")
