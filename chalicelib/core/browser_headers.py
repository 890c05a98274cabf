"""Declares the headers that every response of the API has. They restrict what browsers do with a response."""

from collections.abc import Mapping

# API Gateway can add these headers to its own responses, too, because their values contain no quotation mark.
# X-Frame-Options forbids frames, as frame-ancestors does. A response may hold personal data, so nobody may store it.
WITHOUT_QUOTES: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# With this policy, a response loads nothing, runs nothing, and opens in no frame. Pages have a policy of their own.
HEADERS: Mapping[str, str] = {
    **WITHOUT_QUOTES,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
