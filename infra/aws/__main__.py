"""python -m infra.aws: write the table of costs into docs/aws.md. A test fails if this table is out of date.

python -m infra.aws FOLDER: write the composed templates of all profiles into a folder, so that cfn-lint can check them.
"""

import sys
from pathlib import Path

from infra import pages
from infra.aws import costs
from infra.aws.composition import composed
from infra.aws.profiles import PROFILES
from infra.aws.stacks import TEMPLATES

PAGE = pages.SETTINGS.with_name("aws.md")


def with_table(text: str) -> str:
    """Replace the table of costs in the text of docs/aws.md by the current table."""
    return pages.with_table(text, "costs", costs.table(list(PROFILES.values()), TEMPLATES))


def write(folder: Path) -> None:
    """Write each composed template once, even if several profiles have it, and lake.yaml, which belongs to no stage."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for profile in PROFILES.values():
        for part in profile.parts:
            text = composed(TEMPLATES, part, profile.parameters_of(part))
            if text not in {path.read_text() for path in folder.glob(f"{part}-*.yaml")}:
                (folder / f"{part}-{profile.name}.yaml").write_text(text)
    (folder / "lake.yaml").write_text((TEMPLATES / "lake.yaml").read_text())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]))
    else:
        PAGE.write_text(with_table(PAGE.read_text()))
