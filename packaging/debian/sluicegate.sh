#!/bin/sh
# The command of the Debian package: on the Node that the package brings, for the service's data folder.
set -eu
lib="$(dirname "$(readlink -f "$0")")/../lib/sluicegate"
SLUICEGATE_DATA="${SLUICEGATE_DATA:-/var/lib/sluicegate}"
export SLUICEGATE_DATA
exec "$lib/node" "$lib/bin/sluicegate.js" "$@"
