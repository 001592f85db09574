#!/usr/bin/env bash
# notes.sh VERSION CHANGELOG [ADDRESS]: the changelog's section for a version, without its heading. Links within the
# repository begin with the address. A version without a section is an error.
set -euo pipefail
notes=$(awk -v heading="## $1" '/^## /{on = $0 == heading || index($0, heading " ") == 1; next} on' "$2")
if [[ -z ${notes//[[:space:]]/} ]]; then
  echo "::error::$2 has no section ## $1" >&2
  exit 1
fi
printf '%s\n' "$notes" | sed -E "s|\]\(([^:)#][^:)]*\))|](${3:-.}/\1|g"
