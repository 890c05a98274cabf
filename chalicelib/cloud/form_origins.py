"""Computes to which origin the browser sends an upload form. The page of the dashboard has to allow this origin.

A signed form has the origin, too, but signing needs boto3, whose import would take the largest part of a cold start.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

# The suffixes of the host names, by the beginning of the region's name.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "eusc-": "amazonaws.eu",
}
_SUFFIX = "amazonaws.com"
_REGION = re.compile(r"[a-z]{2}(sc)?(-[a-z]+)+-\d+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # a bucket with dots is no part of a host name
# With one of these variables, botocore chooses another address.
_SPECIAL = (
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
)


def endpoint(env: Mapping[str, str], public_url: str) -> str:
    """Return the URL of the emulator to which forms are sent. It is empty on AWS."""
    return public_url or env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or ""


def computed(bucket: str, env: Mapping[str, str], public_url: str = "") -> str | None:
    """Return the origin of the forms for a bucket, for example https://bucket.s3.eu-west-1.amazonaws.com. Return None
    if only a signed form tells it: without a region, or with other settings of botocore."""
    if any(env.get(name) for name in _SPECIAL) or _has_file(env):
        return None
    if given := endpoint(env, public_url):
        parts = urlsplit(given)
        return f"{parts.scheme}://{parts.netloc}"
    region = env.get("AWS_DEFAULT_REGION", "")
    if not _REGION.fullmatch(region) or not _BUCKET.fullmatch(bucket):
        return None
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), _SUFFIX)
    service = "s3" if region == "us-east-1" else f"s3.{region}"
    return f"https://{bucket}.{service}.{suffix}"


def _has_file(env: Mapping[str, str]) -> bool:
    """Return whether a file configures botocore. Functions have no such file."""
    return Path(env.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser().exists()
