"""Files of third-party packages that web pages load.

Only these files go into the Lambda package. The deploy driver copies them from their package into the project's
`vendor/`, which Chalice ships. So their import path is the same as on a developer's machine. The package itself, a
Flask extension, is a pinned development requirement. It is never imported.
"""

from importlib.util import find_spec
from pathlib import Path

from chalicelib.core.errors import ConfigurationError

SWAGGER_UI = "flask_swagger_ui"
FILES = (  # with their licences: Swagger UI has Apache-2.0, the package has MIT
    *(f"{SWAGGER_UI}/dist/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE")),
    f"{SWAGGER_UI}/LICENSE",
)


def located(file: str) -> Path:
    """Return the path of one of the files. Raises ConfigurationError."""
    package, _, rest = file.partition("/")
    spec = find_spec(package)  # this finds the package without importing it; in a Lambda it is a folder without modules
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder, rest)).is_file():
            return path
    raise ConfigurationError(f"{file} is not installed")
