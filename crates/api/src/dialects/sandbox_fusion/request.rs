//! The request of `/run_code`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollcage_types::{ByteSize, FileEntry, LimitOverrides, RelativePath};
use serde_json::{Map, Value};

use super::languages::{accepted_names, ours, source};
use crate::dialects::order::{Order, clock_only};
use crate::dialects::validation::{
    Fault, Location, Mistakes, Object, ValidationReply, dictionary, integer, list, number, read_json, text,
    text_or_null, within,
};

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCodeRequest {
    /// What is to be done.
    pub order: Order,
    /// The files asked for, as they were named, and which of [`Order::collect`] each is.
    pub fetched: Vec<(String, RelativePath)>,
}

/// What a server gives.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Our names of its languages.
    pub languages: &'a [&'a str],
    /// The longest a program may run.
    pub time_max: Duration,
    /// The most memory it may have.
    pub memory_max: ByteSize,
}

/// Values in one request: some for each file, and room for what we do not know.
const VALUES_MAX: usize = 16 * 1024;

/// Files given, and files asked for. A repository's worth; each is a file made in a cage.
const FILES_MAX: usize = 1024;

/// Bytes of all files given and the program together: half of what a workspace holds unless a language says otherwise,
/// so that the program has room for its own.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The original's time for compiling, and for running, where none is given.
const TIME_DEFAULT: Duration = Duration::from_secs(10);

/// Files whose name holds this are skipped.
const IGNORED_MARK: &str = "IGNORE_THIS_FILE";

impl RunCodeRequest {
    /// Reads a body for a server that gives what `offer` says. All mistakes are found.
    pub fn read(body: &[u8], offer: &Offer<'_>) -> Result<Self, ValidationReply> {
        let json = read_json(body, VALUES_MAX)?;
        let mut mistakes = Mistakes::default();
        let read =
            Object::body(&mut mistakes, &json).and_then(|object| read_fields(&object, offer, &mut mistakes));
        mistakes.or(read)
    }
}

fn read_fields(object: &Object<'_>, offer: &Offer<'_>, mistakes: &mut Mistakes) -> Option<RunCodeRequest> {
    let Offer { languages, time_max, memory_max } = *offer;
    let compile_time =
        object.optional(mistakes, "compile_timeout", TIME_DEFAULT, |value| seconds(value, time_max));
    let run_time = object.optional(mistakes, "run_timeout", TIME_DEFAULT, |value| seconds(value, time_max));
    let memory = object.optional(mistakes, "memory_limit_MB", None, |value| memory(value, memory_max));
    let code = object.required(mistakes, "code", |value| {
        let code = text(value)?;
        if code.len() > BYTES_MAX { Err(too_large()) } else { Ok(code) }
    });
    let stdin = object.optional(mistakes, "stdin", None, text_or_null);
    let language = object.required(mistakes, "language", |value| {
        let name = value.as_str().and_then(|name| ours(name, languages));
        name.ok_or_else(|| Fault::literal(accepted_names(languages)))
    });
    let none = Map::new();
    let files = object.optional(mistakes, "files", None, |value| dictionary(value).map(Some));
    let files = files.and_then(|files| {
        let files = files.unwrap_or(&none);
        read_files(&object.place_of("files"), files, code.map_or(0, str::len), mistakes)
    });
    let fetched = object.optional(mistakes, "fetch_files", &[][..], list);
    let fetched = fetched.and_then(|names| read_names(&object.place_of("fetch_files"), names, mistakes));
    object.optional(mistakes, "args", (), |value| {
        list(value)?.iter().try_for_each(|arg| text(arg).map(drop))
    })?;
    let (language, code, fetched) = (language?, code?, fetched?);
    let order = Order {
        language: language.to_owned(),
        code: source(language, code).into(),
        stdin: stdin?.unwrap_or_default().as_bytes().into(),
        files: files?,
        limits: LimitOverrides { memory: memory?, ..clock_only(run_time?) },
        compile_limits: clock_only(compile_time?),
        collect: fetched.iter().map(|(_, path)| path.clone()).collect(),
    };
    Some(RunCodeRequest { order, fetched })
}

fn read_files(
    place: &[Location],
    files: &Map<String, Value>,
    code_bytes: usize,
    mistakes: &mut Mistakes,
) -> Option<Vec<FileEntry>> {
    if files.len() > FILES_MAX {
        let fault = Fault::value(&format!("{} files are more than {FILES_MAX}", files.len()));
        mistakes.add(place.to_vec(), fault, &Value::Null);
        return None;
    }
    let mut entries: Vec<FileEntry> = Vec::new();
    let (mut bytes_total, mut is_whole) = (code_bytes, true);
    for (name, content) in files {
        let file = match text_or_null(content) {
            Ok(None) => continue,
            Ok(Some(_)) if name.contains(IGNORED_MARK) => continue,
            Ok(Some(text)) => read_file(name, text),
            Err(fault) => Err(fault),
        };
        let file = file.and_then(|file| {
            bytes_total += file.content.len();
            if bytes_total > BYTES_MAX { Err(too_large()) } else { Ok(file) }
        });
        match file {
            // Two spellings of one name: as where they are written one after the other, the last stays.
            Ok(file) => match entries.iter_mut().find(|known| known.path == file.path) {
                Some(known) => *known = file,
                None => entries.push(file),
            },
            Err(fault) => {
                mistakes.add(within(place, Location::Field(name.clone())), fault, content);
                is_whole = false;
            }
        }
    }
    is_whole.then_some(entries)
}

fn too_large() -> Fault {
    Fault::value(&format!("the program and its files hold more than {BYTES_MAX} bytes together"))
}

fn read_file(name: &str, base64: &str) -> Result<FileEntry, Fault> {
    let path = path(name)?;
    // Python's encoder of files breaks lines.
    let packed: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let content = STANDARD
        .decode(packed)
        .map_err(|error| Fault::value(&format!("the content is not base64: {error}")))?;
    Ok(FileEntry::new(path, content))
}

fn read_names(
    place: &[Location],
    names: &[Value],
    mistakes: &mut Mistakes,
) -> Option<Vec<(String, RelativePath)>> {
    if names.len() > FILES_MAX {
        let fault = Fault::value(&format!("{} files are more than {FILES_MAX}", names.len()));
        mistakes.add(place.to_vec(), fault, &Value::Null);
        return None;
    }
    let mut fetched = Vec::new();
    for (index, value) in names.iter().enumerate() {
        match text(value).and_then(|name| Ok((name.to_owned(), path(name)?))) {
            Ok(named) => fetched.push(named),
            Err(fault) => mistakes.add(within(place, Location::Index(index)), fault, value),
        }
    }
    (fetched.len() == names.len()).then_some(fetched)
}

/// A name as a path below the workspace. `./a` and `b/../a` are `a`; what leads out of the workspace is refused, though
/// the original takes it: in a cage there is nothing to write to out there, and nothing of the caller's to read.
fn path(name: &str) -> Result<RelativePath, Fault> {
    if name.starts_with('/') {
        return Err(Fault::value(
            "the path is absolute; files lie in the program's directory: give a path relative to it",
        ));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                let above = parts.pop();
                above.ok_or_else(|| Fault::value("the path leads out of the program's directory"))?;
            }
            part => parts.push(part),
        }
    }
    RelativePath::new(&parts.join("/")).map_err(|error| Fault::value(&error.to_string()))
}

/// A time to run, which must be one: a program without any is not run, and nothing can be said about it.
fn seconds(value: &Value, most: Duration) -> Result<Duration, Fault> {
    let seconds = number(value)?;
    if !(seconds > 0.0 && seconds <= most.as_secs_f64()) {
        let most = most.as_secs_f64();
        return Err(Fault::value(&format!(
            "a time limit is above 0 and, on this server, at most {most} seconds"
        )));
    }
    // What rounds to no time at all is the shortest there is.
    Ok(Duration::from_secs_f64(seconds).max(Duration::from_millis(1)))
}

/// A limit on memory; any below 1 is none, and then the language's own holds.
fn memory(value: &Value, most: ByteSize) -> Result<Option<ByteSize>, Fault> {
    let mebibytes = u64::try_from(integer(value)?).unwrap_or(0);
    if mebibytes > most.as_u64() / ByteSize::mib(1).as_u64() {
        return Err(Fault::value(&format!("this server gives no more than {most} of memory")));
    }
    Ok((mebibytes > 0).then(|| ByteSize::mib(mebibytes)))
}
