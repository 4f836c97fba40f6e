#!/usr/bin/env bash
# Kills the tiny recipe at more than a hundred moments, and compares what it writes in the end: see --help.
# No part of tests/run.sh: it takes hours.
set -euo pipefail
here=$(CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../../.venv/bin/python" "$here/campaign.py" "$@"
