//! A programming language as data: how to compile, run and test it
