"""Hardware profiles on disk: YAML to a typed profile and back, and lookup by name."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import yaml

from sparseplan.common import lookup, yaml_struct
from sparseplan.common.files import write_text
from sparseplan.common.json_schema import json_schema
from sparseplan.errors import HardwareError
from sparseplan.hardware.profile import DatasheetProfile, Profile

HARDWARE_FOLDER = Path("calibration") / "hardware"
_EMPTY: tuple[Any, ...] = (None, {}, [], "")
_KEY_ORDER = (
    *("format", "name", "description", "kind", "hardware", "dtype", "peak_flops", "peak_flops_2to4", "utilization"),
    *("known_as", "source", "date", "driver", "versions", "provenance", "two_to_four", "kernels", "points"),
)


def read_profile(path: Path) -> Profile:
    """Read and check one hardware profile.

    Raises:
        HardwareError: with file, line and key, if it is not a valid profile.
    """
    document = yaml_struct.read_document(path, kind="hardware profile", error=HardwareError)
    return cast(Profile, yaml_struct.convert(document, Profile, error=HardwareError))


def parse_profile(text: str, *, source: str) -> Profile:
    """Read and check a profile from YAML text, as `read_profile` does."""
    document = yaml_struct.parse_document(text, source=source, kind="hardware profile", error=HardwareError)
    return cast(Profile, yaml_struct.convert(document, Profile, error=HardwareError))


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile, whole or not at all."""
    write_text(path, profile_text(profile))


def profile_text(profile: Profile) -> str:
    """The profile as YAML, one point a line."""
    data = msgspec.to_builtins(profile)
    plain = {key: _pruned(data[key]) for key in _KEY_ORDER if key == "description" or data.get(key) not in _EMPTY}
    points = plain.pop("points", None)
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    if points is not None:
        lines = (
            yaml.safe_dump(_pruned(point), sort_keys=False, default_flow_style=True, width=10**6) for point in points
        )
        text += "points:\n" + "".join(f"- {line}" for line in lines)
    return text


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(entry) for key, entry in value.items() if entry not in (None, "")}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def profile_schema() -> dict[str, Any]:
    """The JSON Schema of hardware profiles, for editors; shipped as builtin/schemas/hardware.schema.json."""
    return json_schema(Profile, title="sparseplan hardware profile")


def load_profile(name: str) -> Profile:
    """Find a profile by path or name: ./calibration/hardware, $SPARSEPLAN_HARDWARE, the user's folder, the built-ins.

    Raises:
        HardwareError: if there is no such profile, or its file is broken.
    """
    if lookup.is_path(name):
        return read_profile(Path(name))
    return read_profile(lookup.find(name, list(profile_files()), kind="hardware profile", error=HardwareError))


def profile_files() -> Iterator[tuple[str, Path]]:
    """Name and path of every profile that is found by name, in lookup order; a name's first file is the one meant."""
    local = f"{HARDWARE_FOLDER.as_posix()}/*.yaml"
    return lookup.named_files(local=local, variable="SPARSEPLAN_HARDWARE", builtin="hardware")


class ProfileRow(NamedTuple):
    """A profile in a list; `problem` where its file is broken."""

    name: str
    path: str
    kind: str
    device: str
    dtype: str
    peak_flops: float | None
    problem: str | None


def profile_rows() -> list[ProfileRow]:
    """Every profile that is found by name; of several with one name, the one that is meant."""
    rows: dict[str, ProfileRow] = {}
    for name, path in profile_files():
        if name in rows:
            continue
        try:
            profile = read_profile(path)
        except HardwareError as problem:
            rows[name] = ProfileRow(name, str(path), "broken", "", "", None, str(problem))
            continue
        kind = "datasheet" if isinstance(profile, DatasheetProfile) else "measured"
        device = profile.hardware.device
        rows[name] = ProfileRow(name, str(path), kind, device, profile.dtype, profile.peak_flops, None)
    return list(rows.values())


@cache
def builtin_profiles() -> tuple[Path, ...]:
    """The datasheet profiles that ship with the package."""
    return tuple(sorted((lookup.BUILTIN / "hardware").glob("*.yaml")))


def datasheet_of(device: str) -> DatasheetProfile | None:
    """The built-in datasheet of a device, by the name that its driver gives it; None where there is none."""
    for path in builtin_profiles():
        profile = read_profile(path)
        if isinstance(profile, DatasheetProfile) and any(name.lower() in device.lower() for name in profile.known_as):
            return profile
    return None
