//! The programs: each prints a line, so that what is measured is how it starts and ends.

use clap::ValueEnum;

macro_rules! cases {
    ($($(#[$doc:meta])* $case:ident = $name:literal, $language:literal, $preload:expr, $source:expr;)*) => {
        /// A program to start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub(crate) enum StartCase {
            $($(#[$doc])* #[value(name = $name)] $case,)*
        }

        impl StartCase {
            /// Every case.
            pub(crate) const ALL: &[Self] = &[$(Self::$case),*];

            /// What it is called.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$case => $name,)*
                }
            }

            /// Its language's name.
            pub(super) const fn language(self) -> &'static str {
                match self {
                    $(Self::$case => $language,)*
                }
            }

            /// The preload that its imports choose.
            pub(super) const fn preload(self) -> Option<&'static str> {
                match self {
                    $(Self::$case => $preload,)*
                }
            }

            /// Its source text.
            pub(super) const fn source(self) -> &'static str {
                match self {
                    $(Self::$case => $source,)*
                }
            }
        }
    };
}

cases! {
    /// `print(1)`.
    Python = "python", "python", None, "print(1)\n";
    /// With an array.
    PythonNumpy = "python-numpy", "python", Some("numpy"), "import numpy as np\nprint(np.arange(10).sum())\n";
    /// With a series.
    PythonPandas = "python-pandas", "python", Some("pandas"), "import pandas as pd\nprint(pd.Series([1, 2, 3]).sum())\n";
    R = "r", "r", None, "cat(1, \"\\n\")\n";
    Ruby = "ruby", "ruby", None, "puts 1\n";
    /// The toplevel.
    Ocaml = "ocaml", "ocaml-toplevel", None, "let () = print_endline \"1\"\n";
    Php = "php", "php", None, "<?php\necho \"1\\n\";\n";
    Perl = "perl", "perl", None, "print \"1\\n\";\n";
    Lua = "lua", "lua", None, "print(1)\n";
    Bash = "bash", "bash", None, "echo 1\n";
    Sqlite = "sqlite", "sqlite", None, "SELECT 1;\n";
    Node = "node", "javascript", None, "console.log(1);\n";
    /// The compiled class; compiled once.
    Java = "java", "java", None, "class Main { public static void main(String[] a) { System.out.println(1); } }\n";
    Julia = "julia", "julia", None, "println(1)\n";
    /// Compiling, not running.
    CppBits = "cpp-bits", "cpp", None,
        "#include <bits/stdc++.h>\nint main() {\n    std::vector<int> v{3, 1, 2};\n    std::sort(v.begin(), v.end());\n    \
         std::cout << v[0] << '\\n';\n}\n";
}
