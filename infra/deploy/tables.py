"""Compares the datasets with the migrations, before anything is deployed."""

from chalicelib.core.errors import ConfigurationError
from chalicelib.migrations import migrate
from infra.errors import CloudError


def check() -> None:
    """Check that migrations add every dataset and every column. Raises CloudError, which says what to do."""
    try:
        migrate.check_datasets()
    except ConfigurationError as error:
        raise CloudError(error.detail) from error
