//! What the fork server and whoever started it say to each other, over a `SOCK_SEQPACKET` Unix socket.
//!
//! One packet a message, native byte order: both ends run on one machine. The file uses nothing of its crate, so that
//! the other end can include it; linking the crate would replace that program's `open`.

/// Begins every request. Changes with the layout.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"rcfork01");

/// Bytes of an encoded [`Request`].
pub const REQUEST_BYTES: usize = 8 * 4;

/// Bytes of an encoded [`Report`].
pub const REPORT_BYTES: usize = 8 * 6;

/// Descriptors that come with every request, in this order: standard input, output and error, the directory to start
/// in.
pub const DESCRIPTORS_FIXED: usize = 4;

/// Descriptors a request may bring: the fixed ones, and room for what confinement needs.
pub const DESCRIPTORS_MAX: usize = 16;

/// Children that one server holds at a time: as many as one engine has slots on a large machine.
pub const CHILDREN_MAX: usize = 64;

/// The descriptor of the server's end of the socket, as a decimal number.
pub const SOCKET_VARIABLE: &str = "ROLLCAGE_FORK_SOCKET";
/// The absolute path whose opening is the fork point.
pub const POINT_VARIABLE: &str = "ROLLCAGE_FORK_POINT";
/// Optional: the absolute path of the executable that becomes the server, where a wrapper comes first.
pub const EXECUTABLE_VARIABLE: &str = "ROLLCAGE_FORK_EXECUTABLE";
/// Optional: the absolute path of a file of Python that is run at the fork point, before the first request.
pub const PRELOAD_VARIABLE: &str = "ROLLCAGE_FORK_PRELOAD";
/// Optional: names of more variables to remove at the fork point, separated by commas.
pub const HIDDEN_VARIABLE: &str = "ROLLCAGE_FORK_HIDES";

/// The exit code of a server that refused.
pub const REFUSED_EXIT: i32 = 120;
/// The exit code of a child that could not become the program; a [`Report::Failed`] says why.
pub const FAILED_EXIT: i32 = 121;

/// A child to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Comes back in every report about this child.
    pub id: u64,
    /// `CLONE_*`; 0 is a plain fork, with the fork handlers of all libraries.
    pub clone_flags: u64,
    /// Which steps of confinement the child takes; see `confine.rs`.
    pub steps: u64,
}

impl Request {
    /// As it goes over the socket.
    pub fn encode(&self) -> [u8; REQUEST_BYTES] {
        join([MAGIC, self.id, self.clone_flags, self.steps])
    }

    /// `None` unless it is one of this layout.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [magic, id, clone_flags, steps] = split::<4>(bytes)?;
        (magic == MAGIC).then_some(Self { id, clone_flags, steps })
    }
}

/// What the server, or a child on its way, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The interpreter stands at the fork point and takes requests. `pid` is the server's, as it sees itself.
    Ready {
        /// Its process id.
        pid: i32,
    },
    /// There will be no server; the process ends with [`REFUSED_EXIT`].
    Refused {
        /// Why.
        reason: Refusal,
        /// What [`Refusal`] says it is.
        detail: i64,
    },
    /// A child was made. Its pidfd comes along.
    Started {
        /// Of the request.
        id: u64,
        /// The child, as the server sees it.
        pid: i32,
    },
    /// No program will run for this request.
    Failed {
        /// Of the request; 0 if that could not be read.
        id: u64,
        /// What could not be done.
        stage: Stage,
        /// Why.
        errno: i32,
    },
    /// A child of the server's has ended and was reaped. Not for children made with `CLONE_PARENT`.
    Ended {
        /// Of the request.
        id: u64,
        /// As wait4(2) gives it.
        status: i32,
        /// User time of the child and all it waited for, in microseconds.
        user_us: u64,
        /// System time likewise.
        system_us: u64,
        /// Largest resident set of one process, in kibibytes.
        max_rss_kib: u64,
    },
}

impl Report {
    /// As it goes over the socket.
    pub fn encode(&self) -> [u8; REPORT_BYTES] {
        join(match *self {
            Self::Ready { pid } => [1, 0, unsigned(pid), 0, 0, 0],
            Self::Refused { reason, detail } => [2, 0, reason as u64, detail.cast_unsigned(), 0, 0],
            Self::Started { id, pid } => [3, id, unsigned(pid), 0, 0, 0],
            Self::Failed { id, stage, errno } => [4, id, stage as u64, unsigned(errno), 0, 0],
            Self::Ended { id, status, user_us, system_us, max_rss_kib } => {
                [5, id, unsigned(status), user_us, system_us, max_rss_kib]
            }
        })
    }

    /// `None` if the bytes are no report.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [kind, id, a, b, c, d] = split::<6>(bytes)?;
        Some(match kind {
            1 => Self::Ready { pid: signed(a)? },
            2 => Self::Refused { reason: Refusal::from_number(a)?, detail: b.cast_signed() },
            3 => Self::Started { id, pid: signed(a)? },
            4 => Self::Failed { id, stage: Stage::from_number(a)?, errno: signed(b)? },
            5 => Self::Ended { id, status: signed(a)?, user_us: b, system_us: c, max_rss_kib: d },
            _ => return None,
        })
    }
}

macro_rules! numbered {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)*
        }

        impl $name {
            /// What a number on the wire stands for.
            pub fn from_number(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// For people.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

numbered! {
    /// Why an interpreter does not become a fork server.
    Refusal {
        /// The detail is how many.
        Threads = 1, "the interpreter has more than one thread";
        /// The detail is the errno.
        CountThreads = 2, "the interpreter's threads cannot be counted";
        /// The detail is the descriptor.
        SharedDescriptor = 3, "the interpreter holds a descriptor that its children would share";
        /// The detail is how many are allowed.
        TooManyDescriptors = 4, "the interpreter holds too many descriptors";
        /// The detail is 0.
        Preload = 5, "the preload failed; its message is on standard error";
        /// The detail is 0.
        AskedTwice = 6, "the program file was opened again, by the preload or by a fork handler";
        /// The detail is the process that opened it.
        OtherProcess = 7, "the program file was opened by a child of the interpreter";
        /// The detail is the descriptor.
        StandardStreams = 8, "a standard stream is not open";
        /// The detail is the errno.
        Signals = 9, "signals cannot be held back";
    }
}

numbered! {
    /// A step between a request and its program that can fail.
    Stage {
        /// In the server.
        Decode = 1, "read the request";
        /// In the server: more than [`CHILDREN_MAX`].
        Room = 2, "hold one more child";
        /// In the server: flags under which a program would not run as it does cold.
        Flags = 3, "clone with these flags";
        /// In the server.
        Clone = 4, "clone the child";
        /// In the server, and the child is dead.
        Watch = 5, "watch the child";
        /// The child has its fork parent's process id, by which libraries would take it for that.
        OwnPid = 6, "give the child a process id of its own";
        /// In the child.
        Session = 7, "start a new session";
        /// In the child.
        OwnDescriptors = 8, "replace the interpreter's own descriptors";
        /// In the child.
        Stdio = 9, "connect the standard streams";
        /// In the child.
        Directory = 10, "enter the directory";
        /// In the child; see `confine.rs`.
        Confine = 11, "take on the confinement";
        /// In the child.
        CloseDescriptors = 12, "close inherited descriptors";
        /// In the child.
        Signals = 13, "reset signals";
    }
}

fn unsigned(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

fn signed(word: u64) -> Option<i32> {
    i32::try_from(word.cast_signed()).ok()
}

fn join<const WORDS: usize, const BYTES: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn split<const WORDS: usize>(bytes: &[u8]) -> Option<[u64; WORDS]> {
    if bytes.len() != WORDS * 8 {
        return None;
    }
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(chunk.try_into().ok()?);
    }
    Some(words)
}
