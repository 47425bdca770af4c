# The agent of a bash session: reads cells from a socket, sources them in one shell, and answers there. See the agent of
# Python sessions for what is said.
#
# Between cells 0, 1 and 2 are /dev/null, so that what `set -x` says about this script is not heard. No cell runs inside a
# function, where `declare` would make its variables local.
BASH_ARGV0=bash

__rollcage_done() {
  # Only what was opened for this cell.
  if [[ $__rollcage_in != "$__rollcage_null" ]]; then \exec {__rollcage_in}<&-; fi
  local done="$__rollcage_number $1"
  builtin printf 'done %d\n%s' "${#done}" "$done" >&"$__rollcage_channel"
}

# Reads a cell, and opens its input.
__rollcage_next() {
  local bytes input LC_ALL=C IFS=' '
  builtin read -r -u "$__rollcage_channel" __rollcage_kind __rollcage_number bytes input || builtin return 1
  __rollcage_source=
  if [[ $bytes -gt 0 ]]; then IFS= builtin read -r -N "$bytes" -u "$__rollcage_channel" __rollcage_source; fi
  __rollcage_in=$__rollcage_null
  if [[ $input -gt 0 ]]; then
    # Escaped, because variables hold no NULs. No interrupt ends this half-way, or the rest would be taken for a cell.
    builtin trap '' INT
    local text
    IFS= builtin read -r -N "$input" -u "$__rollcage_channel" text
    builtin printf '%b' "$text" >|/tmp/.rollcage-input
    \exec {__rollcage_in}</tmp/.rollcage-input
    builtin command -p rm -f /tmp/.rollcage-input
  fi
  builtin return 0
}

