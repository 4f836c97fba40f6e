"""YAML and command line to dataclasses: unknown keys and wrong types are errors."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Type, TypeVar, Union

import yaml
from jsonargparse import ArgumentParser, Namespace

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require

T = TypeVar("T")


class _Parser(ArgumentParser):
    """jsonargparse, with its explanation folded into one line."""

    def error(self, message: str, ex: Optional[Exception] = None) -> None:  # type: ignore[override]
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        raise UserError(" ".join(lines))

    def parse_args(self, args: Optional[List[str]] = None, *others: Any, **more: Any) -> Namespace:  # type: ignore[override]
        args = sys.argv[1:] if args is None else args
        return super().parse_args([_underscored(argument) for argument in args], *others, **more)


def _underscored(argument: str) -> str:
    """Write an option's dashes as the underscores of its key; its value stays."""
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else argument


def parse_config(config_type: Type[T], description: str, args: Optional[List[str]] = None) -> T:
    """Build a config from `--config FILE.yaml` and `--key value` overrides; `--help` lists every key.

    Raises UserError on a missing file, an unknown key, a wrong type or a value that the dataclass refuses.
    """
    parser = _Parser(description=description)
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below")
    parser.add_class_arguments(config_type, as_group=False)
    namespace = parser.parse_args(args)
    namespace.pop("config")
    return _instantiate(parser, config_type, namespace)


def _instantiate(parser: ArgumentParser, config_type: Type[T], namespace: Namespace) -> T:
    try:
        return config_type(**parser.instantiate(namespace).as_dict())
    except ValueError as error:  # raised by a dataclass that refuses its values
        raise UserError(str(error)) from error


def build(config_type: Type[T], values: Dict[str, Any]) -> T:
    """Build a config from plain data, checked as if it came from a file."""
    parser = _Parser()
    parser.add_class_arguments(config_type, as_group=False)
    return _instantiate(parser, config_type, parser.parse_object(values))


def load_config(config_type: Type[T], path: Union[str, Path]) -> T:
    """Read a resolved config back."""
    return parse_config(config_type, "", ["--config", str(require(path, "the step that writes it has not run"))])


def save_config(config: Any, path: Union[str, Path]) -> None:
    """Write the resolved config, every key included, as YAML."""
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(asdict(config), sort_keys=False), encoding="utf-8")
