//! Names of things, each its own type so that one cannot stand in for another.

use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any non-empty text; emptiness is refused where the text is parsed.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A problem in a data set, as its author named it.
    ProblemId
}
id! {
    /// A task given to a policy: a problem with its prompt.
    TaskId
}
id! {
    /// One invocation of `rollcage rollout` or `rollcage eval`, kept in the store.
    RunId
}
id! {
    /// One sampled conversation inside a run.
    TrajectoryId
}
