"""These tests run in the interpreter that has k2: tests/decode/test_k2.py calls it."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("k2") else ["test_*.py"]
