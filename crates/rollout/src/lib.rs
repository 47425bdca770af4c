//! Multi-turn environments, code extraction, budgets and the loop as pure state machines
