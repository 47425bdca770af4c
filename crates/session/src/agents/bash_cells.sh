# Goes on from `bash_exits.sh`, in a here-document that ends with the loop.
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
