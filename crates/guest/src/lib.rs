//! What runs inside the cage: its PID 1, the launcher that makes it, and the protocol they speak
