#!/usr/bin/env bash
# Stage 0: a few minutes of the espeak corpus.
exec "$MT4SSL_ROOT/egs/espeak/local/data.sh" "$@"
