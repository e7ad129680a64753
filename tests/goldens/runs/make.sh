#!/bin/sh
# Makes the golden ledger of a release: sh tests/goldens/runs/make.sh VERSION, with that version installed.
# The frames are left out: codes rebuild them, and nothing reads them once the film is there.
set -eu
cd "$(dirname "$0")"
ursa-ray render film.yaml --run "$1" --device cpu
rm -r "$1/media" "$1/LEASE"
