# Runs the earlier cells of a session without a sound, then its newest cell. Sourced by no one: bash runs it.
#
# Files beside this one: `plan` holds the seed, then the number of each cell to run, the newest last, one per
# line; `cells/N.sh` and `cells/N.stdin` are the cells and what they read; to `report` goes how each cell ended.
#
# This script itself always runs with 0, 1 and 2 on /dev/null, and each cell is sourced with redirections: silence
# is kept at the descriptor level, and what `set -x` says about this script is not heard. No cell runs inside a
# function, where `declare` would make its variables local.
__rollcage_home=$PWD/${BASH_SOURCE[0]%/*}
BASH_ARGV0=bash
{
  builtin read -r __rollcage_seed
  builtin mapfile -t __rollcage_cells
} <"$__rollcage_home/plan"
# Not `builtin exec`, which undoes its redirections.
exec {__rollcage_live_in}<&0 {__rollcage_live_out}>&1 {__rollcage_live_err}>&2
exec {__rollcage_null}<>/dev/null </dev/null >/dev/null 2>&1
__rollcage_number=0
__rollcage_log=
__rollcage_status=0
# `cell` while a cell runs, or the action of its EXIT trap; `exited` when it made the shell exit; else empty.
__rollcage_phase=
__rollcage_at_exit=

# What is needed later is held in variables, because a cell may clear the workspace.
for __rollcage_cell in "${__rollcage_cells[@]}"; do
  __rollcage_sources[__rollcage_cell]= __rollcage_inputs[__rollcage_cell]=
  IFS= builtin read -r -d '' "__rollcage_sources[__rollcage_cell]" <"$__rollcage_home/cells/$__rollcage_cell.sh"
  IFS= builtin read -r -d '' "__rollcage_inputs[__rollcage_cell]" <"$__rollcage_home/cells/$__rollcage_cell.stdin"
done
IFS= builtin read -r -d '' __rollcage_code <"$__rollcage_home/cells.sh"

# Writes the whole report each time.
__rollcage_report() {
  __rollcage_log+=$1$'\n'
  __rollcage_restore
  builtin printf '%s' "$__rollcage_log" >|"$__rollcage_home/report" || builtin :
}

# Makes the next cell's files again where they are missing.
__rollcage_restore() {
  local file=$__rollcage_home/cells/$__rollcage_cell
  if [[ -f $file.sh && -f $file.stdin ]]; then builtin return 0; fi
  builtin command -p mkdir -p -- "$__rollcage_home/cells" || builtin :
  builtin printf '%s' "${__rollcage_sources[__rollcage_cell]}" >|"$file.sh" || builtin :
  builtin printf '%s' "${__rollcage_inputs[__rollcage_cell]}" >|"$file.stdin" || builtin :
}

# Says how the cell ended, and lets go of its input.
__rollcage_done() {
  \exec {__rollcage_in}<&-
  __rollcage_report "$__rollcage_cell end $1"
}

