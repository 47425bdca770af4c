# The agent of a bash session: reads cells from a socket, sources them in one shell, and answers there. See the agent of
# Python sessions for what is said.
#
# Between cells 0, 1 and 2 are /dev/null, so that what `set -x` says about this script is not heard. No cell runs inside a
# function, where `declare` would make its variables local.
BASH_ARGV0=bash
# Evaluated at the top level, first by this script and again, in a subshell of the EXIT trap, whenever a cell has made the
# shell exit: by `exit`, by `set -e`, by an unset variable under `set -u`, by an interrupt. A subshell is a copy of the shell
# with everything in it, so the session goes on in the copy while the original waits to pass on its exit status. Each exit
# thus costs one waiting process.
IFS= builtin read -r -d '' __rollcage_code <<'__rollcage_end'
__rollcage_shell=$BASHPID
\builtin trap '
  {
    __rollcage_status=$?
    # An exit of our own goes through, or a mistake in here would come round for ever.
    if [[ $__rollcage_phase == cell ]]; then
      __rollcage_phase=exited
      ( \builtin eval "$__rollcage_code" )
      \builtin exit "$?"
    fi
  } <&"$__rollcage_null" >&"$__rollcage_null" 2>&"$__rollcage_null"' EXIT
if [[ $__rollcage_phase == exited ]]; then
  if [[ $__rollcage_at_exit ]]; then
    __rollcage_action=$__rollcage_at_exit
    __rollcage_at_exit=
    __rollcage_phase=cell
    # In either branch the action finds the exit status in `$?` and no errexit is suspended. If it exits itself,
    # the trap above brings us here again, without an action.
    if ( \builtin exit "$__rollcage_status" ); then
      \builtin eval "$__rollcage_action" <&"$__rollcage_in" >&"$__rollcage_out" 2>&"$__rollcage_err"
    else
      \builtin eval "$__rollcage_action" <&"$__rollcage_in" >&"$__rollcage_out" 2>&"$__rollcage_err"
    fi
  fi
  __rollcage_phase=
  __rollcage_done "exited $__rollcage_status"
fi
while __rollcage_next; do
  if [[ $__rollcage_kind == branch ]]; then
    # A subshell starts without them.
    if [[ $__rollcage_trapping ]]; then __rollcage_traps=$(\builtin trap -p); fi
    # The shell does not wait for a branch, which is none of its children.
    if : </rollcage/branch/$__rollcage_channel/$__rollcage_out/$__rollcage_err; then
      (
        \builtin eval "$__rollcage_traps"
        \builtin printf 'ready 0\n' >&"$__rollcage_channel"
        \builtin eval "$__rollcage_code"
      )
      \builtin printf 'branched 0\n' >&"$__rollcage_channel"
    fi
    \builtin continue
  fi
  # Again for each cell, so that a branch and a replay draw the same.
  RANDOM=$((__rollcage_seed + __rollcage_number))
  \builtin trap '[[ $__rollcage_phase != cell ]] || \builtin exit 130' INT
  __rollcage_phase=cell
  # By a number that nobody else uses: messages name it, and count lines from the cell's first.
  \builtin source /dev/fd/251 251<<<"$__rollcage_source" \
    <&"$__rollcage_in" >&"$__rollcage_out" 2>&"$__rollcage_err"
  __rollcage_status=$?
  __rollcage_phase=
  __rollcage_done "status $__rollcage_status"
done
\builtin trap - EXIT
\builtin exit 0
__rollcage_end

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
  if [[ ${#others[@]} -gt 0 ]]; then
    __rollcage_trapping=yes
    builtin trap -- "$action" "${others[@]}" 2>&"$__rollcage_err"
  fi
} 2>/dev/null

# `cell` while a cell runs, or the action of its EXIT trap; `exited` when it made the shell exit; else empty.
__rollcage_phase=
__rollcage_at_exit=
__rollcage_trapping=
__rollcage_traps=
__rollcage_status=0
__rollcage_number=0
# Where one stops whose copies sessions are: at a file that is never there. What is said of that is nobody's output.
: </rollcage/session
# Not `builtin exec`, which undoes its redirections.
exec {__rollcage_channel}<&0 {__rollcage_out}>&1 {__rollcage_err}>&2
exec {__rollcage_null}<>/dev/null </dev/null >/dev/null 2>&1
__rollcage_in=$__rollcage_null
IFS=' ' builtin read -r -u "$__rollcage_channel" __rollcage_phase __rollcage_seed __rollcage_at_exit || exit 0
__rollcage_phase= __rollcage_at_exit=
builtin printf 'ready 0\n' >&"$__rollcage_channel"
builtin eval "$__rollcage_code"
