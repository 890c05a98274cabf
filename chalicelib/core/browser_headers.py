"""Declares the headers that every response has. They tell browsers what a response must not be used for."""

from collections.abc import Mapping

# API Gateway can add these headers to its own responses, too, because their values contain no quotation mark. For a
# page in a frame, X-Frame-Options says the same as frame-ancestors. A response may hold personal data, so nobody may
# store it.
WITHOUT_QUOTES: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# A response that is not a page loads nothing, runs nothing, and opens in no frame.
HEADERS: Mapping[str, str] = {
    **WITHOUT_QUOTES,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
