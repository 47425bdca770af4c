# Goes on from `bash_exits.sh`.
while [[ $__rollcage_number -lt ${#__rollcage_cells[@]} ]]; do
  __rollcage_cell=${__rollcage_cells[__rollcage_number]}
  __rollcage_number=$((__rollcage_number + 1))
  __rollcage_report "$__rollcage_cell start"
  if [[ $__rollcage_number -lt ${#__rollcage_cells[@]} ]]; then
    \builtin exec {__rollcage_in}<"$__rollcage_home/cells/$__rollcage_cell.stdin"
    __rollcage_out=$__rollcage_null
    __rollcage_err=$__rollcage_null
  else
    __rollcage_in=$__rollcage_live_in
    __rollcage_out=$__rollcage_live_out
    __rollcage_err=$__rollcage_live_err
  fi
  __rollcage_phase=cell
  \builtin source "$__rollcage_home/cells/$__rollcage_cell.sh" \
    <&"$__rollcage_in" >&"$__rollcage_out" 2>&"$__rollcage_err"
  __rollcage_status=$?
  __rollcage_phase=
  __rollcage_done "status $__rollcage_status"
done
\builtin trap - EXIT
\builtin exit "$__rollcage_status"
