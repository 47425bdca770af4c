//! One thin typed function per Linux system call that rustix lacks, and the code between clone and exec
