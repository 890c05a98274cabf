"""Files of other people's packages that web pages load.

Only these files go into the Lambdas. The deploy driver copies them from their package into the project's `vendor/`,
which Chalice ships, so their place is the same as on a developer's machine. The package itself, a Flask extension, is a
development requirement, pinned like any other. It is never imported.
"""

from importlib.util import find_spec
from pathlib import Path

from chalicelib.core.errors import ConfigurationError

SWAGGER_UI = "flask_swagger_ui"
FILES = (  # with their licences: Swagger UI's is Apache-2.0, the package's MIT
    *(f"{SWAGGER_UI}/dist/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE")),
    f"{SWAGGER_UI}/LICENSE",
)


def located(file: str) -> Path:
    """Where one of the files is. Raises ConfigurationError."""
    package, _, rest = file.partition("/")
    spec = find_spec(package)  # finds it and does not import it; in a Lambda it is a folder without modules
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder, rest)).is_file():
            return path
    raise ConfigurationError(f"{file} is not installed")
