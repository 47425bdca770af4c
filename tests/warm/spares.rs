//! Programs executed ahead do the same, byte for byte, as those that are executed when they are asked for.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rollcage_sandbox::{Cancel, Host, HostConfig, Mismatch, Spare, SpareError, SpareSpec, Stop};
use rollcage_types::{
    ByteSize, Collect, ExecOutcome, ExecRequest, FileEntry, LimitKind, Limits, NetworkAccess, RelativePath,
    Start, Termination,
};

use crate::harness::{Ended, host_of, tasks_below};

fn host() -> Option<Arc<Host>> {
    static HOST: OnceLock<Option<Arc<Host>>> = OnceLock::new();
    HOST.get_or_init(|| host_of(&HostConfig { spares: true, ..HostConfig::default() })).clone()
}

fn path(name: &str) -> RelativePath {
    RelativePath::new(name).unwrap()
}

fn spec(argv: &[&str], program: &str) -> SpareSpec {
    SpareSpec {
        argv: argv.iter().map(ToString::to_string).collect(),
        env_vars: Vec::new(),
        program: path(program),
        stop: Stop::Open,
        executable: None,
        not_beside: Vec::new(),
        limits: Limits { processes: 128, ..Limits::default() },
    }
}

fn node() -> SpareSpec {
    SpareSpec { not_beside: vec![path("package.json")], ..spec(&["node", "snippet.js"], "snippet.js") }
}

/// Any program that opens a file will do.
fn cat() -> SpareSpec {
    spec(&["cat", "snippet", "-"], "snippet")
}

fn request(spec: &SpareSpec, source: &str, stdin: &str) -> ExecRequest {
    ExecRequest {
        env_vars: spec.env_vars.clone(),
        files: vec![FileEntry::new(spec.program.clone(), source.as_bytes().to_vec())],
        stdin: stdin.as_bytes().into(),
        limits: spec.limits.clone(),
        ..ExecRequest::new(spec.argv.clone())
    }
}

fn start(host: &Arc<Host>, spec: &SpareSpec) -> Spare {
    Spare::start(host, spec.clone(), START_TIME, &Cancel::new()).unwrap()
}

fn run(host: &Arc<Host>, spec: &SpareSpec, request: &ExecRequest) -> ExecOutcome {
    assert_eq!(spec.accepts(request), Ok(()));
    let outcome = start(host, spec).run(request, &Cancel::new()).unwrap();
    assert_eq!(outcome.start, Start::Spare);
    outcome
}

/// Long, for a machine in trouble.
const START_TIME: Duration = Duration::from_secs(30);

/// Kills the process of this name below this one.
fn kill_below_us(name: &str) {
    let is_it = |pid: &String| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let found = tasks_below(std::process::id()).into_iter().find(is_it).expect("it waits");
    let pid = rustix::process::Pid::from_raw(found.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn check(spec: &SpareSpec, programs: &[(&str, &str)]) {
    let Some(host) = host() else { return };
    if !Path::new("/usr/bin").join(&spec.argv[0]).exists() {
        eprintln!("skipped: no {}", spec.argv[0]);
        return;
    }
    for (source, stdin) in programs {
        let request = request(spec, source, stdin);
        let cold: Ended = host.run(&request, &Cancel::new()).unwrap().into();
        assert_eq!(Ended::from(run(&host, spec, &request)), cold, "{:?}, program:\n{source}", spec.argv);
    }
}

#[test]
fn node_does_the_same() {
    check(
        &node(),
        &[
            ("console.log('hello');\n", ""),
            ("", ""),
            (
                "process.stdin.on('data', data => console.log(data.toString().split(' ').length));\n",
                "1 2 3\n",
            ),
            ("console.log(require('fs').readFileSync(0, 'utf8').length);\n", "input"),
            ("process.exit(7);\n", ""),
            ("console.error('bad'); throw new Error('why');\n", ""),
            ("const x = ;\n", ""),
            ("console.log(process.argv, __filename, __dirname, process.cwd(), module.paths);\n", ""),
            ("console.log(Object.entries(process.env).sort(), process.execArgv);\n", ""),
            (
                "console.log(require('fs').readFileSync('/proc/self/environ').toString().replace(/\\0+$/, ''));\n",
                "",
            ),
            (
                "console.log(require('child_process').execSync('env; ls /proc/self/fd | wc -l').toString());\n",
                "",
            ),
            ("console.log(require('fs').readFileSync(__filename, 'utf8'));\n", ""),
            ("process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 60000);\n", ""),
            ("process.on('exit', code => console.log('exit', code)); process.exitCode = 3;\n", ""),
            (
                "setTimeout(() => console.log('later'), 10); Promise.resolve().then(() => console.log('soon'));\n",
                "",
            ),
            (
                "console.log(process.stdin.isTTY, process.stdout.isTTY, process.getuid() === process.geteuid());\n",
                "",
            ),
            (
                "const { Worker } = require('worker_threads'); new Worker('console.log(1)', { eval: true });\n",
                "",
            ),
            ("console.log([...Array(5)].map((_, i) => i ** 2), new Set('abc'), { a: [1, { b: 2 }] });\n", ""),
            ("require('./absent');\n", ""),
        ],
    );
}

#[test]
fn java_does_the_same() {
    let Some(host) = host() else { return };
    if !Path::new("/usr/bin/javac").exists() {
        eprintln!("skipped: no javac");
        return;
    }
    let source = "import java.util.*;\npublic class Main {\n  record P(int a) {}\n  public static void main(String[] args) throws Exception {\n\
        Scanner in = new Scanner(System.in);\n    System.out.println(in.nextInt() + in.nextInt());\n\
        System.out.println(new P(3) + \" \" + System.getenv().keySet() + new TreeMap<>(Map.of(1, 2)));\n\
        Thread t = new Thread(() -> System.out.println(\"thread\"));\n    t.start();\n    t.join();\n    if (!in.hasNext()) throw new IllegalStateException(\"why\");\n\
        System.exit(7);\n  }\n}\n";
    let mut compiler = ExecRequest::new(["javac", "-nowarn", "Main.java"]);
    compiler.files = vec![FileEntry::new(path("Main.java"), source.as_bytes().to_vec())];
    compiler.collect = Collect::Everything;
    compiler.limits = Limits { processes: 128, memory: ByteSize::gib(1), ..Limits::default() };
    let compiled = host.run(&compiler, &Cancel::new()).unwrap();
    assert!(compiled.termination.is_success(), "{}", compiled.stderr.to_text());
    let spec = spec(&["java", "-XX:+UseSerialGC", "-Xmx64m", "-cp", ".", "Main"], "Main.class");
    for (stdin, code) in [("1 2\n", 1), ("1 2 3\n", 7)] {
        let mut request = request(&spec, "", stdin);
        request.files.clone_from(&compiled.files);
        let cold: Ended = host.run(&request, &Cancel::new()).unwrap().into();
        assert_eq!(cold.termination, Termination::Exited { code });
        assert_eq!(Ended::from(run(&host, &spec, &request)), cold, "{stdin}");
    }
}

#[test]
fn a_program_finds_its_files_and_nothing_else() {
    let Some(host) = host() else { return };
    let spec = spec(&["bash", "snippet"], "snippet");
    let mut request = request(&spec, "ls -A; cat other; cat -", "input");
    request.files.push(FileEntry::new(path("other"), b"text\n".to_vec()));
    let ended: Ended = run(&host, &spec, &request).into();
    assert_eq!(ended.stdout, "other\nsnippet\ntext\ninput");
}

#[test]
fn limits_hold_and_count_from_when_it_goes_on() {
    let Some(host) = host() else { return };
    let limited = |limits: Limits| {
        let script = spec(&["bash", "snippet"], "snippet");
        SpareSpec { limits: Limits { processes: 16, ..limits }, ..script }
    };
    let second = Duration::from_secs(1);
    for (limits, program, expected) in [
        (Limits { cpu_time: second, ..Limits::default() }, "while :; do :; done", LimitKind::CpuTime),
        (Limits { wall_time: second, ..Limits::default() }, "sleep 60", LimitKind::WallTime),
        (Limits { idle_time: Some(second / 2), ..Limits::default() }, "sleep 60", LimitKind::IdleTime),
        (Limits { output: ByteSize::kib(64), ..Limits::default() }, "yes", LimitKind::Output),
        (
            Limits { memory: ByteSize::mib(32), ..Limits::default() },
            "x=$(yes | head -c 200000000)",
            LimitKind::Memory,
        ),
        (Limits::default(), "for i in {1..64}; do sleep 9 & done; wait", LimitKind::Processes),
        (Limits { disk: ByteSize::mib(1), ..Limits::default() }, "yes > a", LimitKind::DiskSpace),
    ] {
        let spec = limited(limits);
        let outcome = run(&host, &spec, &request(&spec, program, ""));
        assert_eq!(outcome.termination, Termination::LimitExceeded(expected), "{program}");
    }
    let spec = limited(Limits::default());
    let outcome = run(&host, &spec, &request(&spec, "for i in {1..20000}; do :; done", ""));
    assert!(outcome.usage.wall_time < second * 5 && !outcome.usage.cpu_time.is_zero(), "{:?}", outcome.usage);
}

#[test]
fn a_program_does_not_hear_that_it_waited() {
    let Some(host) = host() else { return };
    let spec = spec(&["bash", "snippet"], "snippet");
    let program =
        "env; cat /proc/self/environ | tr '\\0' '\\n'; ls /proc/self/fd; cat -; ulimit -a | grep -v cpu";
    let request = request(&spec, program, "input");
    let cold: Ended = host.run(&request, &Cancel::new()).unwrap().into();
    assert_eq!(Ended::from(run(&host, &spec, &request)), cold);
}

#[test]
fn cancelling_ends_it() {
    let Some(host) = host() else { return };
    let spec = spec(&["bash", "snippet"], "snippet");
    let cancel = Cancel::new();
    cancel.cancel();
    let outcome = start(&host, &spec).run(&request(&spec, "sleep 60", ""), &cancel).unwrap();
    assert_eq!(outcome.termination, Termination::Cancelled);
}

#[test]
fn one_that_died_is_found_out() {
    let Some(host) = host() else { return };
    let start = |spec: SpareSpec, time| Spare::start(&host, spec, time, &Cancel::new()).unwrap_err();
    // It never opens its file, whether or not it loads the library.
    let never = start(spec(&["true"], "snippet"), START_TIME);
    assert!(matches!(never, SpareError::NeverOpened), "{never}");
    let late = start(spec(&["sleep", "60"], "snippet"), Duration::from_millis(1));
    assert!(matches!(late, SpareError::Late { .. }), "{late}");
    // Other tests have no such process.
    let mut spare = self::start(&host, &spec(&["tac", "snippet"], "snippet"));
    assert!(spare.is_waiting());
    kill_below_us("tac");
    while spare.is_waiting() {
        std::thread::yield_now();
    }
}

#[test]
fn one_that_is_dropped_leaves_its_slot() {
    let config = HostConfig { spares: true, ..HostConfig::default() };
    let Some(host) = host_of(&config) else { return };
    for _ in 0..host.slots() * 3 {
        drop(start(&host, &cat()));
    }
    let all: Vec<_> = (0..host.slots()).map(|_| start(&host, &cat())).collect();
    let none = Spare::start(&host, cat(), START_TIME, &Cancel::new()).unwrap_err();
    assert!(matches!(none, SpareError::NoSlot), "{none}");
    drop(all);
    let outcome = host.run(&request(&cat(), "a", ""), &Cancel::new()).unwrap();
    assert!(outcome.termination.is_success());
}

#[test]
fn requests_that_differ_from_the_start_are_not_taken() {
    let spec = node();
    let usual = request(&spec, "", "");
    let changed = |change: &dyn Fn(&mut ExecRequest)| {
        let mut request = usual.clone();
        change(&mut request);
        spec.accepts(&request).unwrap_err()
    };
    assert_eq!(changed(&|request| request.argv.push("a".to_owned())), Mismatch::Arguments);
    assert_eq!(
        changed(&|request| request.env_vars.push(("A".to_owned(), String::new()))),
        Mismatch::Variables
    );
    assert_eq!(changed(&|request| request.limits.memory = ByteSize::mib(1)), Mismatch::Limits);
    assert_eq!(changed(&|request| request.network = NetworkAccess::Loopback), Mismatch::Network);
    assert_eq!(changed(&|request| request.files.clear()), Mismatch::NoProgram);
    let package = FileEntry::new(path("package.json"), b"{}".to_vec());
    assert_eq!(changed(&|request| request.files.push(package.clone())), Mismatch::Beside);
    let mut longer = usual;
    longer.limits.wall_time *= 2;
    longer.limits.output = ByteSize::mib(1);
    assert_eq!(spec.accepts(&longer), Ok(()));
}
