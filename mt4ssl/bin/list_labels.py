"""Names of the labels that a pre-training config needs, one a line: nothing where it has online targets only."""

from __future__ import annotations

import sys

from mt4ssl.config import parse_config
from mt4ssl.errors import run_main
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig


def main() -> None:
    config = parse_config(PretrainConfig, __doc__ or "", [*NO_DATA, *sys.argv[1:]])
    for name in config.labels():
        print(name)


if __name__ == "__main__":
    run_main(main)
