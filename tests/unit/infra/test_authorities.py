"""Tests the certificate authorities of Amazon RDS that this release contains."""

import re
import ssl
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from infra.aws import authorities
from infra.errors import CloudError

TEXT = Path(authorities.__file__).with_name("rds-authorities.pem").read_text()
REGIONS = re.findall(r"^region (\S+)$", TEXT, re.MULTILINE)


def subjects(pem: str) -> set[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    found: list[Any] = context.get_ca_certs()
    return {pair[1] for authority in found for part in authority["subject"] for pair in part if pair[0] == "commonName"}


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_has_the_three_authorities_of_rds(region: str) -> None:
    assert subjects(authorities.of_region(region)) == {
        f"Amazon RDS {region} Root CA {kind} G1" for kind in ("RSA2048", "RSA4096", "ECC384")
    }


def test_regions_are_those_of_aws() -> None:
    known = botocore.session.get_session().get_available_regions("rds")
    assert set(REGIONS) <= set(known)
    assert len(REGIONS) > 25


def test_for_an_unknown_region_the_error_asks_for_the_authorities() -> None:
    with pytest.raises(CloudError, match=r"does not know .* in xx-north-1: .* set DATABASE_CA"):
        authorities.of_region("xx-north-1")


def test_the_file_names_its_source_and_its_date() -> None:
    head = TEXT.partition("region ")[0]
    assert "https://docs.aws.amazon.com/" in head
    assert re.search(r"\d{4}-\d\d-\d\d", head)
