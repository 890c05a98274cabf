"""Creates templates. A template is a file with the header of a dataset and one example row. It can be loaded unchanged.

Each request creates its template from the declaration of the dataset. Therefore a template cannot differ from the
declaration, and the deployment package needs no template files.
"""

import io
from datetime import date, datetime
from functools import cache

from chalicelib.api.openapi.upload_schemas import example_value
from chalicelib.core.dataset import Column, Dataset
from chalicelib.formats.csv_export import Cell, csv_text

_MADE = datetime(2021, 1, 1)  # a fixed time, so that equal declarations give equal bytes
_ABOUT = ("column", "what it holds", "other names that a header may have")


def csv_template(dataset: Dataset) -> str:
    """Return the template as the text of a CSV file."""
    return csv_text(dataset.column_names, [[_field(column) for column in dataset.columns]])


@cache
def xlsx_template(dataset: Dataset) -> bytes:
    """Return the template as an XLSX workbook. Its second sheet describes the columns. A load reads only the first."""
    from xlsxwriter import Workbook  # here, so that only this route loads the package

    file = io.BytesIO()
    book = Workbook(file, {"in_memory": True})
    book.set_properties({"title": f"Hireflow: {dataset.name}", "created": _MADE})
    bold = book.add_format({"bold": True})
    rows = book.add_worksheet(dataset.name)
    rows.freeze_panes(1, 0)
    for at, column in enumerate(dataset.columns):
        rows.write_string(0, at, column.name, bold)
        shown = book.add_format({"num_format": column.kind.cell_format}) if column.kind.cell_format else None
        rows.set_column(at, at, 22, shown)
        rows.write(1, at, column.kind.cell(example_value(column)), shown)
    about = book.add_worksheet("columns")
    about.set_column(0, 2, 44)
    about.write_row(0, 0, _ABOUT, bold)
    for row, column in enumerate(dataset.columns, 1):
        about.write_row(row, 0, (column.name, column.about, ", ".join(column.aliases)))
    book.close()
    return file.getvalue()


def _field(column: Column) -> Cell:
    """Return the example of a column for a CSV file. Dates and instants are texts. Other values are as in a
    workbook."""
    value = example_value(column)
    cell = column.kind.cell(value)
    return value if isinstance(cell, date) else cell
