"""Write the JSON Schemas that ship with the package again, from the structs that read the files."""

import json
from importlib import resources
from pathlib import Path

from sparseplan.calibration.recipe import recipe_schema
from sparseplan.hardware.file import profile_schema
from sparseplan.laws.file import law_schema


def main() -> None:
    """Write them."""
    folder = Path(str(resources.files("sparseplan") / "builtin" / "schemas"))
    for name, schema in (("law", law_schema()), ("recipe", recipe_schema()), ("hardware", profile_schema())):
        (folder / f"{name}.schema.json").write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
