"""Finds the certificate authorities of Amazon RDS. Functions that connect without a proxy have to trust them."""

import re
from pathlib import Path

from infra.errors import CloudError

_FILE = Path(__file__).with_name("rds-authorities.pem")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)


def of_region(region: str) -> str:
    """Return the authorities of the databases in a region, in PEM format. Raises CloudError for an unknown region."""
    _, *sections = re.split(r"^region (\S+)\n", _FILE.read_text(), flags=re.MULTILINE)
    found = dict(zip(sections[::2], sections[1::2], strict=True)).get(region)
    if found is None:
        raise CloudError(
            f"this release does not know the certificate authorities of Amazon RDS in {region}: download"
            f" https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem and set DATABASE_CA to this file"
        )
    return "".join(_CERTIFICATE.findall(found))


def write(region: str, folder: Path) -> Path:
    """Write the authorities of the databases in a region into a folder, and return the file. Raises CloudError."""
    path = folder / "rds-ca.pem"
    text = of_region(region)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
