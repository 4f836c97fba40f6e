"""Checkpoints of other toolkits, read without running anything that they name."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from mt4ssl.errors import UserError
from mt4ssl.files import require

SETTINGS = re.compile(
    r"argparse\.Namespace|(omegaconf|fairseq|typing|numpy|enum)\.[\w.]+|_codecs\.encode"
    r"|builtins\.(bool|int|float|str|list|tuple|dict|object)"
)
"""What a fairseq checkpoint keeps beside tensors: settings, dictionaries, meters."""


class Record:
    """Stands in for an object of another package: what was stored of it, and none of its code."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Record:
        record = super().__new__(cls)
        record.args, record.state = args, None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state


def plain(value: Any) -> Any:
    """Turn records into the plain data that they hold: namespaces and configs to dicts, enums to their values."""
    if isinstance(value, Record):
        if isinstance(value.state, dict):
            return plain(value.state.get("_content", value.state.get("_val", value.state)))  # omegaconf's containers
        return plain(value.args[0]) if value.args else None
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _dict(*_: Any) -> dict[Any, Any]:
    """Stands in for defaultdict, whose first argument is code."""
    return {}


def named_globals(path: Path) -> set[str]:
    """Return the functions and classes that a checkpoint's pickle names, by reading and not by running it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inner = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if inner is None:
                raise UserError(f"{path} is a zip file but no checkpoint of torch.save")
            return _globals(archive.open(inner), pickles=1)
    with open(path, "rb") as file:  # before torch 1.6: magic number, protocol, machine, content
        return _globals(file, pickles=4)


def _globals(file: Any, pickles: int) -> set[str]:
    found = {str(arg) for _ in range(pickles) for op, arg, _ in pickletools.genops(file) if op.name == "GLOBAL"}
    return {name.replace(" ", ".").replace("__builtin__.", "builtins.") for name in found}


def read_pickle(path: Path) -> Any:
    """Read a checkpoint: tensors, plain containers, and a Record for each object that fairseq keeps with them.

    torch's weights-only reader builds nothing else. UserError names what it refuses, or says that the file is damaged.
    """
    require(path, "no such checkpoint")
    try:
        records = [(Record, name) for name in named_globals(path) if SETTINGS.fullmatch(name)]
        with torch.serialization.safe_globals([*records, (_dict, "collections.defaultdict")]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch and pickletools raise many types for a damaged file
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            raise UserError(f"{path} wants to run {refused[1]!r}, which no checkpoint needs: refused") from error
        raise UserError(f"{path} cannot be read as a checkpoint: {error}".splitlines()[0]) from error
