"""Print what is installed beside what tools/constraints.txt asks for; exit with 1 if they differ."""

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from mt4ssl.table import print_table


def installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"


def main(k2: str, k2_python: str) -> int:
    lines = Path(__file__).with_name("constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pins = [pin for pin in pins if not pin.marker or pin.marker.evaluate()]
    wanted = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    needed = {Requirement(line).name for line in metadata.requires("mt4ssl") or []}
    rows = []
    for package, version in wanted.items():
        found = installed_version(package)
        if package in needed or found not in (version, "-"):
            fix = "" if found == version else "rm -r .venv && tools/setup.sh"
            rows.append([package, version, found, fix])
    rows.append(["k2", "any that works", k2, "" if k2.startswith("k2 ") else "tools/install_k2.sh"])
    print_table("Environment", ["package", "wanted", "installed", "command that fixes it"], rows)
    print(f"k2 is run by: {k2_python or 'nothing'}")

    try:
        import torch
    except ImportError:
        return 1
    print(f"GPU: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}")
    return int(any(fix for *_, fix in rows))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
