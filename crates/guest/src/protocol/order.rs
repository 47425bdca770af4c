//! What a launcher is to be, and what it says of that.
//!
//! Both are made and read by processes that may allocate, once for each launcher.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::protocol::words::{WORD, word_at};

/// What a launcher is to be. The first packet on its control socket; carries the descriptors of a fork server, if it is to
/// become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// How many slots will be introduced.
    pub slots: u32,
    /// Whether stubs say that they wait; see [`crate::protocol::Report::Waiting`].
    pub announced: bool,
    /// Whether a control group is charged for the memory of programs.
    pub charged: bool,
    /// Whether a slot's next cage is made only when it is asked for.
    pub on_demand: bool,
    /// The template's mount point. Where there is no mount namespace it holds for each slot a directory of its number, with
    /// `work` and `tmp`.
    pub directory: PathBuf,
    /// What programs find at their root; `None` for the host's toolchains.
    pub tree: Option<PathBuf>,
    /// The directory that workspaces start from.
    pub base: Option<PathBuf>,
    /// The directory that programs find at [`crate::PREPARED_PATH`].
    pub prepared: Option<PathBuf>,
    /// Whether a library comes along that programs find at [`crate::SPARE_LIBRARY_PATH`].
    pub spares: bool,
    /// The interpreter that becomes the launcher.
    pub fork_server: Option<ForkServerOrder>,
}

/// An interpreter that is to make cages of itself, where there are mount namespaces. Descriptors come along: the library to preload, the standard streams,
/// and the files by which it enters its control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForkServerOrder {
    /// Paths to try, in order.
    pub programs: Vec<String>,
    /// Arguments, the name included.
    pub arguments: Vec<String>,
    /// `NAME=value`.
    pub variables: Vec<String>,
    /// Files that it finds in its working directory, empty.
    pub files: Vec<String>,
    /// The user it runs as, and the one that is shown to it and its programs as root, where it gets a user namespace in which
    /// the uids of slots are mapped: those from `first_uid` on.
    pub uids: Option<ServerUids>,
    /// Bytes of its main stack, which some languages look at once.
    pub stack_bytes: u64,
    /// Whether its programs may be branched: then the supervisor is sent what asks it about each.
    pub branches: bool,
}

/// Users of the host that a fork server's namespace maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerUids {
    /// The interpreter's own.
    pub own: u32,
    /// Shown as root.
    pub root: u32,
    /// The first of the slots'.
    pub first: u32,
    /// How many are mapped from there on.
    pub count: u32,
}

/// Descriptors that come with an [`Order`]: a library, three streams, and the files of control groups.
pub const ORDER_DESCRIPTORS_MAX: usize = 4 + rollcage_sys::child::CGROUPS_MAX;

/// Paths and variables of one order.
const STRINGS_MAX: usize = 4096;

impl Order {
    /// As sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.word(u64::from(self.slots));
        out.word(u64::from(self.announced));
        out.word(u64::from(self.charged));
        out.word(u64::from(self.on_demand));
        out.path(&self.directory);
        out.option(self.tree.as_ref(), |out, tree| out.path(tree));
        out.option(self.base.as_ref(), |out, base| out.path(base));
        out.option(self.prepared.as_ref(), |out, prepared| out.path(prepared));
        out.word(u64::from(self.spares));
        out.option(self.fork_server.as_ref(), |out, server| server.write(out));
        out.0
    }

    /// As received; `None` for anything malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let order = Self {
            slots: from.word()?.try_into().ok()?,
            announced: from.flag()?,
            charged: from.flag()?,
            on_demand: from.flag()?,
            directory: from.path()?,
            tree: from.option(Reader::path)?,
            base: from.option(Reader::path)?,
            prepared: from.option(Reader::path)?,
            spares: from.flag()?,
            fork_server: from.option(ForkServerOrder::read)?,
        };
        from.0.is_empty().then_some(order)
    }
}

impl ForkServerOrder {
    fn write(&self, out: &mut Writer) {
        for list in [&self.programs, &self.arguments, &self.variables, &self.files] {
            out.word(list.len() as u64);
            list.iter().for_each(|text| out.bytes(text.as_bytes()));
        }
        out.option(self.uids.as_ref(), |out, uids| {
            [uids.own, uids.root, uids.first, uids.count]
                .iter()
                .for_each(|number| out.word(u64::from(*number)));
        });
        out.word(self.stack_bytes);
        out.word(u64::from(self.branches));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            programs: from.texts()?,
            arguments: from.texts()?,
            variables: from.texts()?,
            files: from.texts()?,
            uids: from.option(|from| {
                let mut number = || from.word()?.try_into().ok();
                Some(ServerUids { own: number()?, root: number()?, first: number()?, count: number()? })
            })?,
            stack_bytes: from.word()?,
            branches: from.flag()?,
        })
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)*) => {
        /// Why an interpreter does not become a fork server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u64)]
        pub enum Refusal {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Refusal {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// What a number on the wire stands for.
            pub fn from_number(number: u64) -> Option<Self> {
                Self::ALL.iter().copied().find(|refusal| *refusal as u64 == number)
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

refusals! {
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
    /// The detail is the errno.
    Registrations = 10, "what the C library registered for the thread cannot be found out";
    /// The detail is the errno, or 0 for a mapping.
    SharedMemory = 11, "the interpreter writes to memory that its children would share";
    /// The detail is how many.
    Children = 12, "the interpreter has a child of its own";
    /// The detail is 0.
    ReadAhead = 13, "the interpreter read its program before it had loaded what programs need";
}

/// What a launcher says when it is set up, or why it will not be. The only packet it ever sends on its control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It makes cages from now on.
    Ready {
        /// Version of the Landlock interface it found.
        landlock_abi: u32,
    },
    /// The interpreter that was to become it cannot.
    Refused {
        /// Why.
        reason: Refusal,
        /// What [`Refusal`] says it is.
        detail: i64,
    },
    /// Something could not be had.
    Failed(String),
    /// What asks about branches comes along. Another answer follows.
    Asks,
}

impl Answer {
    /// As sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Ready { landlock_abi } => {
                out.word(1);
                out.word(u64::from(*landlock_abi));
            }
            Self::Refused { reason, detail } => {
                out.word(2);
                out.word(*reason as u64);
                out.word(detail.cast_unsigned());
            }
            Self::Failed(why) => {
                out.word(3);
                out.bytes(why.as_bytes());
            }
            Self::Asks => out.word(4),
        }
        out.0
    }

    /// As received; `None` for anything malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let answer = match from.word()? {
            1 => Self::Ready { landlock_abi: from.word()?.try_into().ok()? },
            2 => Self::Refused {
                reason: Refusal::from_number(from.word()?)?,
                detail: from.word()?.cast_signed(),
            },
            3 => Self::Failed(String::from_utf8_lossy(from.bytes()?).into_owned()),
            4 => Self::Asks,
            _ => return None,
        };
        from.0.is_empty().then_some(answer)
    }
}

/// Numbers, and texts behind their lengths.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, word: u64) {
        self.0.extend(word.to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn path(&mut self, path: &std::path::Path) {
        self.bytes(path.as_os_str().as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.word(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// The rest of what a [`Writer`] wrote.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn word(&mut self) -> Option<u64> {
        let word = word_at(self.0, 0)?;
        self.0 = self.0.get(WORD..)?;
        Some(word)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(OsString::from_vec(self.bytes()?.to_vec()).into())
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        let count = usize::try_from(self.word()?).ok().filter(|count| *count <= STRINGS_MAX)?;
        (0..count).map(|_| String::from_utf8(self.bytes()?.to_vec()).ok()).collect()
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.flag()? { Some(read(self)?) } else { None })
    }
}
