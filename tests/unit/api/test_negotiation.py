"""Tests how the headers Accept and If-None-Match are read, in the forms that clients send."""

import pytest
from chalice.app import Request

from chalicelib.api.http.negotiation import entity_tag, has_already, preferred

OFFERED = ("application/json", "text/csv")


def request(**headers: str) -> Request:
    context = {"httpMethod": "GET", "resourcePath": "/", "identity": {}}
    event = {"requestContext": context, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}
    names = ("multiValueQueryStringParameters", "pathParameters", "stageVariables", "body")
    return Request({**event, **dict.fromkeys(names), "isBase64Encoded": False}, None)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, 0),
        ("*/*", 0),
        ("", 0),
        ("text/csv", 1),
        ("TEXT/CSV; charset=utf-8", 1),
        ("text/*", 1),
        ("text/html", 0),
        ("application/json;q=0.5, text/csv", 1),
        ("text/csv;q=0.5, application/json;q=0.4", 1),
        ("text/csv;q=0, */*;q=0.1", 0),
        ("application/json, text/csv", 0),
        ("*/*;q=0.1, text/csv;q=0.2", 1),
        ("text/csv;q=nonsense", 1),
        (";;,,=", 0),
    ],
)
def test_the_preferred_media_type_is_chosen(accept: str | None, chosen: int) -> None:
    asked = request() if accept is None else request(accept=accept)
    assert preferred(asked, OFFERED) == OFFERED[chosen]


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*", ' {} ,"x"', '"a,b",{}'])
def test_a_matching_etag_is_recognised(known: str) -> None:
    tag = entity_tag("1", "text/csv")
    assert has_already(request(if_none_match=known.replace("{}", tag)), tag)


@pytest.mark.parametrize("known", [None, "", '"other"', "{unquoted}", "W/"])
def test_another_etag_does_not_match(known: str | None) -> None:
    tag = entity_tag("1")
    sent = {} if known is None else {"if_none_match": known.replace("{unquoted}", tag.strip('"'))}
    assert not has_already(request(**sent), tag)


def test_etags_differ_if_any_part_differs() -> None:
    assert len({entity_tag("ab", "c"), entity_tag("a", "bc"), entity_tag("abc"), entity_tag("ab", "d")}) == 4
