"""Declares datasets that are not Hireflow's own. Tests run the whole product with them, in a copy of the checkout.

The declaration has what Hireflow's own datasets lack: all kinds of columns, optional columns and defaults, three levels
of parents, optional references, two references to the same parent, twelve columns in one dataset, a dataset whose rows
may consist of an id alone, and names that are words of SQL: `user`, `order`, `group`, `check` and `default`.
"""

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.table import Kind

_ID = Column("id", Kind.ID, about="primary key")

OTHERS = (
    Dataset(
        "regions",
        "region",
        (
            _ID,
            Column("name", Kind.TEXT, about="name of the region", example="North", aliases=("region_name",)),
            Column("order", Kind.WHOLE_NUMBER, about="place of the region in lists", example=300),
            Column("group", Kind.TEXT, about="name of the group of regions", example="Europe", optional=True),
        ),
    ),
    Dataset(
        "sites",
        "site",
        (
            _ID,
            Column("name", Kind.TEXT, about="name of the site", example="Old Mill"),
            Column("region_id", Kind.ID, parent="regions", about="the region of the site"),
            Column("opened", Kind.DATE, about="the day when the site opened", aliases=("opening_day",)),
            Column("area", Kind.decimal(9, 2), about="area in square metres", example="1250.50"),
            Column("in_use", Kind.BOOLEAN, about="whether the site is in use", default=True),
            Column("closed", Kind.DATE, about="the day when the site closed", optional=True),
            Column("budget", Kind.decimal(38, 10), about="budget of a year", example="-0.5", optional=True),
        ),
    ),
    Dataset(
        "user",
        "person",
        (
            _ID,
            Column("user", Kind.TEXT, about="name of the user", example="Ada Lund", aliases=("user_name",)),
            Column("site_id", Kind.ID, parent="sites", about="the site where the user works"),
            Column("joined", Kind.INSTANT, about="when the user joined"),
            Column("home_id", Kind.ID, parent="sites", about="the site where the user lives", optional=True),
            Column("email", Kind.TEXT, about="address of the user", example="ada@example.com", optional=True),
            Column("role", Kind.TEXT, about="what the user may do", example="editor", default="guest"),
        ),
    ),
    Dataset(
        "order",
        "purchase",
        (
            _ID,
            Column("user", Kind.ID, parent="user", about="the user who ordered"),
            Column("site_id", Kind.ID, parent="sites", about="the site that delivers"),
            Column("at", Kind.INSTANT, about="when the order came", aliases=("ordered_at",)),
            Column("day", Kind.DATE, about="the day on which it is wanted"),
            Column("order", Kind.WHOLE_NUMBER, about="number of the order", example=-9_000_000_000),
            Column("total", Kind.decimal(18, 4), about="sum of the order", example="99.9500"),
            Column("paid", Kind.BOOLEAN, about="whether the order is paid"),
            Column("approved_by", Kind.ID, parent="user", about="the user who approved it", optional=True),
            Column("discount", Kind.decimal(5, 4), about="part of the sum", example="0.1", default="0.0000"),
            Column("delivered", Kind.INSTANT, about="when the order was delivered", optional=True),
            Column("items", Kind.WHOLE_NUMBER, about="number of items", example=1200, optional=True),
        ),
    ),
    Dataset(
        "flags",
        "flag",
        (
            _ID,
            Column("check", Kind.BOOLEAN, about="whether the flag was checked", optional=True),
            Column("default", Kind.TEXT, about="text of the flag", example="none yet", optional=True),
        ),
    ),
)
