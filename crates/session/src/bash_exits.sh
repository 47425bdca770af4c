# The beginning of the code that runs cells. Evaluated at the top level, first by a script of ours and again, in a subshell of
# the EXIT trap, whenever a cell has made the shell exit: by `exit`, by `set -e`, by an unset variable under `set -u`, by an
# interrupt. A subshell is a copy of the shell with everything in it, so the session goes on in the copy while the original
# waits to pass on its exit status. Each exit thus costs one waiting process.
__rollcage_shell=$BASHPID
# bash reseeds RANDOM in a subshell from the clock, unless it is assigned there.
RANDOM=$((__rollcage_seed + __rollcage_number))
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
