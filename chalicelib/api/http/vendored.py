"""Finds the files of a third-party package that web pages load.

The package is a Flask extension that contains Swagger UI. It is a pinned development requirement, and is never
imported. The deployment package holds only the files in FILES. The deploy driver copies these files into the folder
`vendor/` of the project, and Chalice adds this folder to the deployment package. The files are therefore found in the
same way in a Lambda as on a developer's machine.
"""

from importlib.util import find_spec
from pathlib import Path

from chalicelib.core.errors import ConfigurationError

SWAGGER_UI = "flask_swagger_ui"
FILES = (  # including both licences: Apache-2.0 of Swagger UI, and MIT of the package
    *(f"{SWAGGER_UI}/dist/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE")),
    f"{SWAGGER_UI}/LICENSE",
)


def located(file: str) -> Path:
    """Return the path of a file of FILES. Raises ConfigurationError if the file is not installed."""
    package, _, rest = file.partition("/")
    spec = find_spec(package)  # finds the package without importing it; in a Lambda, the package is a folder of files
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder, rest)).is_file():
            return path
    raise ConfigurationError(f"{file} is not installed")
