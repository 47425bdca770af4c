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

