//! Problems, checkers, verdicts and the judging state machine; never starts a process
