//! Conversations with an interpreter: cells, replay and their outcomes
