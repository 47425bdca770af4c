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
builtin exec {__rollcage_live_in}<&0 {__rollcage_live_out}>&1 {__rollcage_live_err}>&2
builtin exec {__rollcage_null}<>/dev/null <>/dev/null >&0 2>&0
__rollcage_next=0
__rollcage_log=
__rollcage_status=0
__rollcage_exited=
__rollcage_at_exit=

# The whole report is written each time, because a cell may have cleared the workspace.
__rollcage_report() {
  __rollcage_log+=$1$'\n'
  if [[ ! -d $__rollcage_home ]]; then builtin command -p mkdir -p -- "$__rollcage_home" || builtin :; fi
  builtin printf '%s' "$__rollcage_log" >|"$__rollcage_home/report" || builtin :
}

# A cell's own EXIT trap runs when a cell exits, so it must not replace ours. In a subshell it is its own affair.
# Standard error is put aside, so that `set -x` does not show what happens in here.
trap() {
  if [[ ${1-} == -- ]]; then builtin shift; fi
  if [[ $BASHPID != "$__rollcage_shell" || $# -eq 0 || $1 == -[lp]* ]]; then
    builtin trap "$@" 2>&"$__rollcage_err"
    builtin return
  fi
  if [[ $# -eq 1 ]]; then builtin set -- - "$1"; fi
  local action=$1 signal
  local -a others
  others=()
  builtin shift
  for signal in "$@"; do
    case $signal in
      0 | [Ee][Xx][Ii][Tt] | [Ss][Ii][Gg][Ee][Xx][Ii][Tt]) __rollcage_at_exit=${action#-} ;;
      *) others+=("$signal") ;;
    esac
  done
  if [[ ${#others[@]} -gt 0 ]]; then builtin trap -- "$action" "${others[@]}" 2>&"$__rollcage_err"; fi
} 2>/dev/null

# Kept in a variable, because a cell may clear the workspace before it exits.
IFS= builtin read -r -d '' __rollcage_code <"$__rollcage_home/cells.sh" || builtin :
builtin eval "$__rollcage_code"
