//! What an outcome of a compiler depends on, as 32 bytes.

use std::fmt;

use rollcage_types::{Collect, ExecRequest, FileEntry};

/// BLAKE3 of all that a compiler can see or that decides what is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct CompileKey([u8; 32]);

impl CompileKey {
    /// Of a request, and of the `circumstances` that are not part of it: the toolchain, say.
    pub(in super::super) fn new(circumstances: &[&[u8]], request: &ExecRequest) -> Self {
        // Every field by name, so that a new one is not forgotten.
        let ExecRequest { argv, env_vars, stdin, files, limits, capture, collect, network } = request;
        let mut hash = Hash(blake3::Hasher::new());
        hash.list(circumstances.iter(), |hash, bytes| hash.bytes(bytes));
        hash.list(argv.iter(), |hash, word| hash.bytes(word.as_bytes()));
        hash.list(env_vars.iter(), |hash, (name, value)| {
            hash.bytes(name.as_bytes());
            hash.bytes(value.as_bytes());
        });
        hash.bytes(stdin);
        hash.list(files.iter(), |hash, FileEntry { path, content, executable }| {
            hash.bytes(path.as_str().as_bytes());
            hash.bytes(content);
            hash.bytes(&[u8::from(*executable)]);
        });
        match collect {
            Collect::Nothing => hash.bytes(b"nothing"),
            Collect::Everything => hash.bytes(b"everything"),
            Collect::Files(paths) => {
                hash.list(paths.iter(), |hash, path| hash.bytes(path.as_str().as_bytes()));
            }
        }
        hash.bytes(format!("{limits:?} {capture:?} {network:?}").as_bytes());
        Self(*hash.0.finalize().as_bytes())
    }

    pub(super) fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Debug for CompileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Lengths go before what they are lengths of, so that no two requests are the same bytes.
struct Hash(blake3::Hasher);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        self.0.update(&(items.len() as u64).to_le_bytes());
        for item in items {
            each(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcage_types::{ByteSize, RelativePath};

    use super::*;

    #[test]
    fn whatever_differs_makes_another_key() {
        let path = |name: &str| RelativePath::new(name).unwrap();
        let file = |name: &str, content: &str| FileEntry::new(path(name), content.as_bytes().to_vec());
        let usual = ExecRequest { files: vec![file("a", "bc")], ..ExecRequest::new(["cc", "-O2"]) };
        let with = |change: &dyn Fn(&mut ExecRequest)| {
            let mut request = usual.clone();
            change(&mut request);
            CompileKey::new(&[b"gcc 12"], &request)
        };
        let mut keys = vec![
            with(&|_| {}),
            CompileKey::new(&[b"gcc 13"], &usual),
            CompileKey::new(&[b"gcc 1", b"2"], &usual),
            with(&|request| request.argv = vec!["cc-O2".to_owned()]),
            with(&|request| request.argv.push(String::new())),
            with(&|request| request.env_vars.push(("A".to_owned(), "b".to_owned()))),
            with(&|request| request.env_vars.push(("Ab".to_owned(), String::new()))),
            with(&|request| request.stdin = Arc::from(b"x".as_slice())),
            with(&|request| request.files = vec![file("ab", "c")]),
            with(&|request| request.files.push(file("d", ""))),
            with(&|request| request.files[0].executable = true),
            with(&|request| request.collect = Collect::Everything),
            with(&|request| request.collect = Collect::Files(vec![path("a")])),
            with(&|request| request.limits.memory = ByteSize::mib(7)),
            with(&|request| request.capture.head = ByteSize::kib(1)),
        ];
        let count = keys.len();
        assert_eq!(with(&|_| {}), keys[0]);
        keys.sort_by_key(|key| key.to_hex());
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
