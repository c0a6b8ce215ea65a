#!/bin/sh
# Print constraints/dev.txt: what pip installs for '.[dev]' today, in a fresh Python 3.11 on Linux.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
python3.11 -m venv "$fresh"
"$fresh/bin/pip" install -q -e '.[dev]' >&2
# A build of torch for one kind of device, as +cpu, is that version all the same.
frozen=$("$fresh/bin/pip" freeze --exclude-editable | sed 's/+cpu$//')
echo '# What the tests were last run with, on Python 3.11 and Linux; elsewhere these lines say nothing. `make constraints`'
echo '# writes this file from a fresh environment.'
echo "$frozen" | sed 's/$/ ; python_version == "3.11" and sys_platform == "linux"/'
