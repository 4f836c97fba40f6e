"""YAML and command line to dataclasses: unknown keys and wrong types are errors."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace, set_parsing_settings

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.ranges import check_ranges

T = TypeVar("T")
OPTION = re.compile(r"(?<=^--)[a-z][^=]*")
"""The name of an option, without its value."""
NO_TYPE = "Does not validate against any of the Union subtypes"
OTHER_TYPE = re.compile(r"(?:Parser key \"type\": )?Expected a typing.Literal\['(\w+)'\]")
"""What jsonargparse says of each type that a value is not of."""


class _Parser(ArgumentParser):
    """jsonargparse, with dashes in options where keys have underscores, and an error folded into one line."""

    def parse_args(self, args: list[str] | None = None, **others: Any) -> Namespace:  # type: ignore[override]
        args = sys.argv[1:] if args is None else args
        return super().parse_args([OPTION.sub(lambda name: name[0].replace("-", "_"), arg) for arg in args], **others)

    def format_help(self, *args: Any) -> str:
        return re.sub(r"--[\w.]+", lambda option: option[0].replace("_", "-"), super().format_help(*args))

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        raise UserError(_one_line(message))


def _one_line(message: str) -> str:
    """Fold a message of jsonargparse; of a value that may be of several types, keep what its own type says."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    reasons = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    if not reasons:
        return " ".join(lines)
    others = [match[1] for reason in reasons if (match := OTHER_TYPE.match(reason))]
    own = [reason for reason in reasons if not OTHER_TYPE.match(reason)]
    key, given = f"{lines[0].removesuffix(NO_TYPE)} ".lstrip(), lines[-1].removeprefix("Given value: ")
    reason = own[0] if own else f"type must be one of {', '.join(others)}"
    return f"{key}{reason}" + (f": {given}" if given.startswith("{") else "")


class _ConfigFile(ActionConfigFile):
    """A file whose lists replace those before it; jsonargparse alone would mix entries of lists that are as long."""

    @staticmethod
    def apply_config(parser: ArgumentParser, cfg: Namespace, dest: str, value: Any) -> None:
        before = {key: cfg.pop(key) for key, old in list(cfg.items()) if isinstance(old, list)}
        ActionConfigFile.apply_config(parser, cfg, dest, value)
        for key, old in before.items():
            if key not in cfg:
                cfg[key] = old


def parse_config(config_type: type[T], description: str, args: list[str] | None = None) -> T:
    """Build a config from `--config FILE.yaml` and `--key value` overrides; `--help` lists every key.

    Raises UserError on a missing file, an unknown key, a wrong type or a value that is out of its range or that the
    dataclass refuses.
    """
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        set_parsing_settings(docstring_parse_attribute_docstrings=True)  # slow, and help alone shows them
    parser = _Parser(description=description)
    parser.add_argument(
        "--config",
        action=_ConfigFile,
        help="YAML file with any of the keys below; of several files the later one decides",
    )
    parser.add_class_arguments(config_type, as_group=False)
    namespace = parser.parse_args(_lists_as_configs(config_type, sys.argv[1:] if args is None else args))
    namespace.pop("config")
    return _instantiate(parser, config_type, namespace)


def _lists_as_configs(config_type: type, args: list[str]) -> list[str]:
    """Turn lists of the command line, `--targets [...]`, into configs, which replace the list before them."""
    lists = {f"--{name}" for name, hint in get_type_hints(config_type).items() if get_origin(hint) is list}
    turned: list[str] = []
    for arg in args:
        option, equals, value = arg.partition("=")
        if turned and turned[-1] in lists:
            option, equals, value = turned.pop(), "=", arg
        if equals and option in lists:
            turned += ["--config", f"{{{option.removeprefix('--')}: {value}}}"]
        else:
            turned.append(arg)
    return turned


def _instantiate(parser: ArgumentParser, config_type: type[T], namespace: Namespace) -> T:
    try:
        config = config_type(**parser.instantiate(namespace).as_dict())
        check_ranges(config)
        return config
    except ValueError as error:  # raised by a dataclass that refuses its values, or of a range
        raise UserError(_one_line(str(error))) from error


def build(config_type: type[T], values: dict[str, Any]) -> T:
    """Build a config from plain data, checked as if it came from a file."""
    parser = _Parser()
    parser.add_class_arguments(config_type, as_group=False)
    return _instantiate(parser, config_type, parser.parse_object(values))


def load_config(config_type: type[T], path: str | Path) -> T:
    """Read a resolved config back."""
    return parse_config(config_type, "", ["--config", str(require(path, "the step that writes it has not run"))])


def save_config(config: Any, path: str | Path) -> None:
    """Write the resolved config, every key included, as YAML; a file that holds it already keeps its time."""
    path, text = Path(path), yaml.safe_dump(asdict(config), sort_keys=False)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
