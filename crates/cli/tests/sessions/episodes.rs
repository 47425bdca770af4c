//! InterCode's recorded shell episodes (<https://github.com/princeton-nlp/intercode>), played again in bash sessions.
//!
//! Owns the files that its first file system holds, and why an observation does not come out again. There the files lie in
//! `/testbed`, where ours are read-only to programs: actions and observations name the workspace in its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollcage_api::gunzip;
use rollcage_session::live::{LiveCell, LiveSession, LiveSpec};
use rollcage_types::{FileEntry, RelativePath};
use serde_json::Value;

use crate::{farm, open, text};

const EPISODES: &str = "intercode/ic_bash_multiturn_gpt-4_10_turns_fs_1.json.gz";
const THERE: &str = "/testbed";
const HERE: &str = "/ws/work/testbed";

const JAVA: &str = "public class Hello { public static void main(String[] args) { System.out.println(\\\"Hello world!\\\"); }}\n";

/// Path, content, and whether it can be executed.
const FILES: &[(&str, &str, bool)] = &[
    ("dir1/textfile1.txt", "Hello, World!\n", false),
    ("dir2/subdir1/textfile2.txt", "text file\nAnother text file\n", false),
    ("dir3/subdir1/subsubdir1/textfile3.txt", "text file\nYet another text file\n", false),
    ("dir1/subdir1/textfile4.txt", "Text file 4\\nGene 1\n", false),
    ("dir2/subdir2/textfile5.txt", "Text file 5Gene 2\n", false),
    ("dir3/textfile6.txt", "Text file 6\n", false),
    ("textfile7.txt", "Text file 7 with some random contents in it\n", false),
    ("dir3/subdir1/subsubdir1/file.txt", "Text file in tmp\n", false),
    ("recent.txt", "", false),
    ("dir3/subdir1/subsubdir1/tmp/tmp.txt", "Text file in tmp\n", false),
    ("dir1/subdir1/shellscript1.sh", "#!/bin/sh\necho \"Shell script 1\"\n", true),
    ("dir2/shellscript2.sh", "#!/bin/sh\necho \"Shell script 2\"\n", true),
    ("dir3/subdir1/subsubdir1/shellscript3.sh", "#!/bin/sh\necho \"Shell script 3\"\n", true),
    ("dir1/subdir1/subsubdir1/shellscript4.sh", "#!/bin/sh\necho \"Shell script 4\"\n", true),
    ("dir2/subdir2/shellscript5.sh", "#!/bin/sh\necho \"Shell script 5\"\n", true),
    (
        "dir1/subdir1/subsubdir1/pythonscript1.py",
        "#!/usr/bin/env python3\nprint(\"Python script 1\")\n",
        true,
    ),
    ("dir2/subdir2/pythonscript2.py", "#!/usr/bin/env python3\nprint(\"Python script 2\")\n", true),
    ("dir3/subdir1/pythonscript3.py", "#!/usr/bin/env python3\nprint(\"Python script 3\")\n", true),
    ("dir1/subdir1/pythonscript4.py", "#!/usr/bin/env python3\nprint(\"Python script 4\")\n", true),
    ("Hello.java", JAVA, false),
    ("Hello1.java", JAVA, false),
    (
        "NewClass.java",
        "public class NewClass { public static void main(String[] args) { System.out.println(\\\"This is a new Java file!\\\"); }}\n",
        false,
    ),
    (
        "dir2/subdir1/javafile1.java",
        "public class FirstClass { public static void main(String[] args) { System.out.println(\\\"This is Java file 1!\\\"); }}\n",
        false,
    ),
    ("dir1/AnotherHello.java", JAVA, false),
    (
        "dir1/subdir1/jsonfile1.json",
        "{\n  \"key1\": \"value1\",\n  \"key2\": \"value2\",\n  \"key3\": \"value3\"\n}\n",
        false,
    ),
    (
        "dir3/subdir2/csvfile1.csv",
        "column1,column2,column3\nvalue1,value2,value3\nvalue4,value5,value6\n",
        false,
    ),
    ("hello.php", "<?php echo \"Hello, world!\"; ?>\n", false),
    ("dir1/info.php", "<?php phpinfo(); ?>\n", false),
    (
        "hello.c",
        "#include <stdio.h>\nint main() {\n  printf(\\\"Hello, world!\\\");\n  return 0;\n}\n",
        false,
    ),
    ("dir3/subdir1/subsubdir1/FooBar/file.txt", "A sample file with FooBar\n", false),
    (
        "FooBar.html",
        "<html><head><title>Test</title></head><body><h1>Hello, FooBar!</h1></body></html>\n",
        false,
    ),
];

/// Directories with nothing in them, and times that were set.
const SETUP: &str = "mkdir -p testbed/dir1/subdir2\n\
                     touch -m -t202305312359.59 testbed/recent.txt\n\
                     touch -m -t202205312359.59 testbed/dir3/subdir1/subsubdir1/tmp/tmp.txt";

/// How an observation compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    /// Byte for byte.
    Same,
    /// The same lines: directories are read in the order that a file system gives.
    OtherOrder,
    /// There the action was put between double quotes for another shell, which took its own, its backslashes and its dollars.
    OtherQuoting,
    /// There it began in the root directory of a whole machine, and was given up.
    TimedOut,
    /// It depends on when and by whom files were made, on their place on a disk, or on the machine.
    TellsOfTheMachine,
    /// A command is missing on either machine, or a file outside of the workspace.
    OtherCommands,
    /// None of these.
    Other,
}

#[test]
fn recorded_shell_episodes_come_out_again() {
    let Some(farm) = farm() else { return };
    let data = std::env::var_os("ROLLCAGE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(bytes) = std::fs::read(data.join(EPISODES)) else {
        println!("skipped: InterCode's shell episodes: ROLLCAGE_DATA has no {EPISODES}");
        return;
    };
    let episodes: BTreeMap<String, Value> = serde_json::from_slice(&gunzip(&bytes).unwrap()).unwrap();
    let mut counts: BTreeMap<Agreement, usize> = BTreeMap::new();
    for (key, episode) in &episodes {
        let file = |(path, content, executable): &(&str, &str, bool)| {
            let path = RelativePath::new(&format!("testbed/{path}")).unwrap();
            FileEntry { executable: *executable, ..FileEntry::new(path, content.as_bytes()) }
        };
        let files = FILES.iter().map(file).collect();
        let session = open(farm, "bash", LiveSpec { files, ..LiveSpec::default() });
        execute(&session, SETUP);
        let turns = &episode["turn_history"];
        let (actions, observations) = (&turns["actions"], &turns["observations"]);
        for (action, observation) in actions.as_array().unwrap().iter().zip(observations.as_array().unwrap())
        {
            let (action, recorded) = (action.as_str().unwrap(), observation.as_str().unwrap());
            let ours = execute(&session, &action.replace(THERE, HERE)).replace(HERE, THERE);
            let agreement = compare(action, recorded, &ours);
            if agreement == Agreement::Other {
                println!("{key}: {action}\n  recorded: {recorded:?}\n  ours:     {ours:?}");
            }
            *counts.entry(agreement).or_default() += 1;
        }
    }
    let total: usize = counts.values().sum();
    println!("{} episodes, {total} observations: {counts:?}", episodes.len());
    let of = |agreement| counts.get(&agreement).copied().unwrap_or(0);
    let agreed = of(Agreement::Same) + of(Agreement::OtherOrder);
    assert!(agreed * 100 >= total * AGREED_MIN_PERCENT, "{agreed} of {total} agree: {counts:?}");
    assert!(of(Agreement::Other) <= OTHERS_KNOWN, "{counts:?}");
}

/// Measured; see the specification.
const AGREED_MIN_PERCENT: usize = 55;
const OTHERS_KNOWN: usize = 1;

/// Both streams, as InterCode shows them.
fn execute(session: &LiveSession, action: &str) -> String {
    let cell = LiveCell::new(format!("{{ {action}\n}} 2>&1"));
    let outcome = session.execute(&cell, &mut |_prompt| None).unwrap();
    text(&outcome.stdout) + &text(&outcome.stderr)
}

fn compare(action: &str, recorded: &str, ours: &str) -> Agreement {
    if recorded.trim_end() == ours.trim_end() {
        return Agreement::Same;
    }
    let sorted = |text: &str| {
        let mut lines: Vec<_> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    if sorted(recorded) == sorted(ours) {
        return Agreement::OtherOrder;
    }
    if recorded == "Command timed out" {
        return Agreement::TimedOut;
    }
    let says = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    if says(&["command not found", "No such file or directory", "not found"], recorded)
        || says(&["command not found", "Read-only file system", "Permission denied"], ours)
    {
        return Agreement::OtherCommands;
    }
    let of_machine = [
        "ls -", "stat", "du ", "df", "time", "size", "user", "owner", "perm", "date", "-newer", "ps ",
        "/proc", "free", "who", "id", "uname", "host", "net", "ip ", "cal", "root", "tar", "gzip", "zip",
    ];
    if says(&of_machine, action) {
        return Agreement::TellsOfTheMachine;
    }
    if says(&["\"", "\\", "$"], action) { Agreement::OtherQuoting } else { Agreement::Other }
}
