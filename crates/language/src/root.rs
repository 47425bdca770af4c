//! The `root` section of a language file: a root file system of the language's own, as a recipe.
//!
//! Owns what a recipe says and what it may not say. Leaves making it, and finding what was made, to `rollcage-roots`.

use std::path::{Component, Path};

use serde::Deserialize;

use crate::scalar::{FromScalar, Parsed};

/// A root file system made of packages of one Debian suite. The language's programs find it at their root, instead of
/// the host's toolchains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRecipe {
    /// The suite's code name, such as `bullseye`.
    pub suite: String,
    /// Whether the suite gets no more updates, so that the date until which its index is valid may lie in the past.
    pub is_archived: bool,
    /// The packages asked for; what they depend on comes along.
    pub packages: Vec<String>,
    /// What is changed once they are unpacked, in this order: nothing of a package runs that would do it.
    pub fixups: Vec<Fixup>,
}

/// A change of one file of a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// The file, from the root. `{triplet}` stands for the machine's name in library directories.
    pub path: String,
    /// What is done to it.
    pub change: FixupChange,
}

/// What is done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixupChange {
    /// It becomes a link to this path, as packages' alternatives do.
    Link(String),
    /// It becomes a file with this content.
    Content(String),
    /// Each occurrence of one text becomes another of the same length, so that a program stays whole.
    Replace {
        /// What is there.
        text: String,
        /// What takes its place.
        with: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootSection {
    debian: Parsed<SuiteName>,
    #[serde(default)]
    archived: bool,
    packages: Parsed1<PackageName>,
    #[serde(default)]
    fixups: Vec<FixupSection>,
}

/// A list that names at least one thing.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Parsed<T>>", bound = "T: FromScalar")]
struct Parsed1<T>(Vec<T>);

impl<T> TryFrom<Vec<Parsed<T>>> for Parsed1<T> {
    type Error = &'static str;

    fn try_from(list: Vec<Parsed<T>>) -> Result<Self, Self::Error> {
        if list.is_empty() {
            return Err("a root is made of at least one package");
        }
        Ok(Self(list.into_iter().map(Parsed::value).collect()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixupFields {
    path: Parsed<RootPath>,
    link: Option<String>,
    content: Option<String>,
    replace: Option<String>,
    with: Option<String>,
}

#[derive(Deserialize)]
#[serde(try_from = "FixupFields")]
struct FixupSection(Fixup);

impl TryFrom<FixupFields> for FixupSection {
    type Error = String;

    fn try_from(fields: FixupFields) -> Result<Self, String> {
        let FixupFields { path: Parsed(RootPath(path)), link, content, replace, with } = fields;
        let change = match (link, content, replace, with) {
            (Some(link), None, None, None) if !link.is_empty() && !link.contains('\0') => {
                FixupChange::Link(link)
            }
            (None, Some(content), None, None) => FixupChange::Content(content),
            (None, None, Some(text), Some(with)) if !text.is_empty() && text.len() == with.len() => {
                FixupChange::Replace { text, with }
            }
            (None, None, Some(_), Some(_)) => {
                return Err(format!("`replace` and `with` of `{path}` are not of the same length"));
            }
            (_, _, _, _) => {
                return Err(format!(
                    "the fixup of `{path}` needs one of `link`, `content`, and `replace` with `with`"
                ));
            }
        };
        Ok(Self(Fixup { path, change }))
    }
}

impl RootSection {
    pub(crate) fn into_recipe(self) -> RootRecipe {
        RootRecipe {
            suite: self.debian.value().0,
            is_archived: self.archived,
            packages: self.packages.0.into_iter().map(|PackageName(name)| name).collect(),
            fixups: self.fixups.into_iter().map(|FixupSection(fixup)| fixup).collect(),
        }
    }
}

/// A suite's name is part of a line that a package manager reads.
struct SuiteName(String);

impl FromScalar for SuiteName {
    fn from_scalar(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(fits) {
            return Err(format!("`{text}` is not the name of a Debian suite, such as `bookworm`"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A package's name, by Debian's rule for names. One that begins with a dash would be an option, and one that ends in
/// one an order to leave it out.
struct PackageName(String);

impl FromScalar for PackageName {
    fn from_scalar(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        // `g++` is a package, and apt looks for a package of the name before it takes a sign for an order.
        if text.len() < 2 || !text.starts_with(is_plain) || text.ends_with('-') || !text.chars().all(fits) {
            return Err(format!("`{text}` is not the name of a Debian package"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An absolute path that stays below its root.
struct RootPath(String);

impl FromScalar for RootPath {
    fn from_scalar(text: &str) -> Result<Self, String> {
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let path = Path::new(text);
        let is_plain = path.components().all(plain) && !text.contains('\0') && !text.ends_with('/');
        if !path.is_absolute() || !is_plain || path.parent().is_none() {
            return Err(format!("`{text}` is not the absolute path of a file, without `..`"));
        }
        Ok(Self(text.to_owned()))
    }
}
