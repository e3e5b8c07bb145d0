#!/bin/sh
# Runs a command with the database's password out of a secret: no environment that `docker inspect` shows has it.
set -eu
PGPASSWORD=$(cat "$PASSWORD_FILE")
export PGPASSWORD
exec "$@"
