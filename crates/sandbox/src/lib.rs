//! From a request to a finished, accounted process tree
