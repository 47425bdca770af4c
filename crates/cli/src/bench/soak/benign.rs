//! Ordinary programs, each with its outcome to the byte, and the canary.

use std::time::Duration;

use rollcage_types::{Collect, ExecRequest, FileEntry, RelativePath};

use crate::bench::soak::draw::Draw;
use crate::bench::soak::work::{Class, End, Expected, Kind, Order, Recipe, Setting};

/// Every kind of them.
pub(super) const BENIGN: &[Kind] = &[
    benign("exit_code", &[], exit_code),
    benign("both_streams", &[], both_streams),
    benign("echo", &[], echo),
    benign("pipeline", &[], pipeline),
    benign("sed", &[], sed),
    benign("arguments", &[], arguments),
    benign("script_file", &[], script_file),
    benign("collected", &[], collected),
    benign("collected_by_name", &[], collected_by_name),
    benign("sub_processes", &[], sub_processes),
    benign("temporary_file", &[], temporary_file),
    benign("own_signal", &[], own_signal),
    benign("python", &["python3"], python),
    benign("python_threads", &["python3"], python_threads),
    benign("python_processes", &["python3"], python_processes),
    benign("python_memory", &["python3"], python_memory),
    benign("compiled", &["gcc"], compiled),
    benign("compiling", &["gcc"], compiling),
];

/// The computation beside hostile programs: processes, a file, input and output, always the same.
pub(super) const CANARY: Kind = Kind {
    class: Class::Canary,
    name: "canary",
    needs: &[],
    recipe: Recipe::Drawn(|_, _| {
        let script = "awk 'BEGIN { for (i = 0; i < 100000; i++) s = (s * 31 + i) % 1000003; print s }' > sum
cat sum; wc -c";
        let mut request = sh(script);
        request.stdin = vec![b'x'; CANARY_INPUT].into();
        request.collect = Collect::Files(vec![path("sum")]);
        let sum = (0..100_000_u64).fold(0, |sum, i| (sum * 31 + i) % 1_000_003);
        let mut order = Order::printing(request, format!("{sum}\n{CANARY_INPUT}\n"));
        order.expected.files = Some(vec![("sum".to_owned(), format!("{sum}\n").into_bytes())]);
        order
    }),
};

/// As much as a pipe holds, and a little more.
const CANARY_INPUT: usize = (64 << 10) + 1;

/// What the compiled program is made from: it adds the numbers below its argument, in threads.
pub(super) const C_SOURCE: &str = r#"#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static long bound, sums[4];
static void *add(void *part) {
    long at = (long)part;
    for (long i = at; i < bound; i += 4) sums[at] += i;
    return NULL;
}
int main(int count, char **words) {
    bound = count > 1 ? atol(words[1]) : 0;
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) if (pthread_create(&threads[i], NULL, add, (void *)i)) return 1;
    for (long i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("%ld\n", sums[0] + sums[1] + sums[2] + sums[3]);
}
"#;
/// What it is called.
pub(super) const C_PROGRAM: &str = "adder";

/// Compiles [`C_SOURCE`] and leaves [`C_PROGRAM`] in the workspace.
pub(super) fn compile() -> ExecRequest {
    let mut request = patient(ExecRequest::new(["gcc", "-o", C_PROGRAM, "-pthread", "adder.c"]));
    request.files.push(FileEntry::new(path("adder.c"), C_SOURCE.as_bytes()));
    request.collect = Collect::Files(vec![path(C_PROGRAM)]);
    request
}

const fn benign(
    name: &'static str,
    needs: &'static [&'static str],
    make: fn(&mut Draw, &Setting) -> Order,
) -> Kind {
    Kind { class: Class::Benign, name, needs, recipe: Recipe::Drawn(make) }
}

fn path(name: &str) -> RelativePath {
    RelativePath::new(name).expect("a plain name")
}

/// With time for a machine on which everything happens at once.
fn patient(mut request: ExecRequest) -> ExecRequest {
    request.limits.cpu_time = Duration::from_secs(30);
    request.limits.wall_time = Duration::from_secs(120);
    request
}

fn sh(script: &str) -> ExecRequest {
    patient(ExecRequest::new(["sh", "-c", script]))
}

fn in_python(program: &str) -> ExecRequest {
    patient(ExecRequest::new(["python3", "-c", program]))
}

fn exit_code(draw: &mut Draw, _: &Setting) -> Order {
    let code = u8::try_from(draw.below(120)).expect("it is below 120");
    let mut order = Order::printing(sh(&format!("echo about to; exit {code}")), "about to\n");
    order.expected.ends = vec![End::Exited(code)];
    order
}

fn both_streams(draw: &mut Draw, _: &Setting) -> Order {
    let count = draw.below(300) + 1;
    let script = format!("i=0; while [ $i -lt {count} ]; do echo out; echo err >&2; i=$((i+1)); done");
    let repeated = |word: &str| word.repeat(usize::try_from(count).expect("it is small"));
    let mut order = Order::printing(sh(&script), repeated("out\n"));
    order.expected.stderr = Some(repeated("err\n").into_bytes());
    order
}

fn echo(draw: &mut Draw, _: &Setting) -> Order {
    let size = draw.pick(&[0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000, 1 << 20]);
    let bytes = draw.bytes(size);
    let mut request = patient(ExecRequest::new(["cat"]));
    request.stdin = bytes.clone().into();
    Order::printing(request, bytes)
}

fn pipeline(draw: &mut Draw, _: &Setting) -> Order {
    let last = draw.below(3000) + 1;
    let script = format!("seq 1 {last} | sort -rn | awk '{{ s += $1 }} END {{ print NR, s }}'");
    Order::printing(sh(&script), format!("{last} {}\n", last * (last + 1) / 2))
}

fn sed(draw: &mut Draw, _: &Setting) -> Order {
    let word = format!("word{}", draw.below(1000));
    let mut request = patient(ExecRequest::new(["sed", "-n", &format!("s/{word}/&-&/gp")]));
    request.stdin = format!("a {word} b {word}\nnothing here\n{word}\n").into_bytes().into();
    Order::printing(request, format!("a {word}-{word} b {word}-{word}\n{word}-{word}\n"))
}

fn arguments(draw: &mut Draw, _: &Setting) -> Order {
    let words =
        ["", " ", "ä\t*?[", "$HOME", "'\"\\", "--", "-n"].map(|word| format!("{word}{}", draw.below(9)));
    let mut argv = vec!["sh", "-c", r#"printf '%s|' "$GIVEN" "$@""#, "name"];
    argv.extend(words.iter().map(String::as_str));
    let mut request = patient(ExecRequest::new(argv));
    request.env_vars.push(("GIVEN".to_owned(), words[2].clone()));
    Order::printing(request, format!("{}|{}|", words[2], words.join("|")))
}

fn script_file(draw: &mut Draw, _: &Setting) -> Order {
    let number = draw.below(1000);
    let mut request = patient(ExecRequest::new(["./program", &number.to_string()]));
    let script = "#!/bin/sh\nread line < sub/input\necho $(($1 + 1)) $line\n";
    request.files = vec![
        FileEntry { executable: true, ..FileEntry::new(path("program"), script.as_bytes()) },
        FileEntry::new(path("sub/input"), *b"the line\n"),
    ];
    Order::printing(request, format!("{} the line\n", number + 1))
}

fn collected(draw: &mut Draw, _: &Setting) -> Order {
    let count = draw.below(40) + 1;
    let script = format!("mkdir d; for i in $(seq 100 {}); do echo $i$i > d/$i; done", 100 + count - 1);
    let mut request = sh(&script);
    request.files.push(FileEntry::new(path("a/given"), draw.bytes(100)));
    request.collect = Collect::Everything;
    let given = ("a/given".to_owned(), request.files[0].content.to_vec());
    let made = (100..100 + count).map(|i| (format!("d/{i}"), format!("{i}{i}\n").into_bytes()));
    with_files(Order::printing(request, ""), std::iter::once(given).chain(made).collect())
}

fn collected_by_name(draw: &mut Draw, _: &Setting) -> Order {
    let size = draw.pick(&[0, 1, 5000, 200_000]);
    let mut request = sh("cat > taken; cp taken left; ln -s taken link; mkdir directory");
    let content = draw.bytes(size);
    request.stdin = content.clone().into();
    request.collect = Collect::Files(["taken", "missing", "link", "directory"].map(path).to_vec());
    with_files(Order::printing(request, ""), vec![("taken".to_owned(), content)])
}

fn with_files(order: Order, files: Vec<(String, Vec<u8>)>) -> Order {
    Order { expected: Expected { files: Some(files), ..order.expected }, ..order }
}

fn sub_processes(draw: &mut Draw, _: &Setting) -> Order {
    let count = draw.below(12) + 1;
    let script = format!(
        "for i in $(seq 1 {count}); do (echo $i > part$i) & done; wait; cat part* | sort -n | tail -1; ls | wc -l"
    );
    Order::printing(sh(&script), format!("{count}\n{count}\n"))
}

fn temporary_file(draw: &mut Draw, _: &Setting) -> Order {
    let number = draw.below(1_000_000);
    let script = format!("ls $TMPDIR; echo {number} > $TMPDIR/kept; cat $TMPDIR/kept; ls -A");
    Order::printing(sh(&script), format!("{number}\n"))
}

fn own_signal(draw: &mut Draw, _: &Setting) -> Order {
    // TERM, KILL, SEGV, ABRT.
    let signal = draw.pick(&[15, 9, 11, 6]);
    let mut order = Order::printing(sh(&format!("echo before; kill -{signal} $$; echo after")), "before\n");
    order.expected.ends = vec![End::Signaled(signal)];
    order
}

fn python(draw: &mut Draw, _: &Setting) -> Order {
    let bound = draw.below(20_000) + 1;
    let program = format!("print(sum(i * i % 7 for i in range({bound})))");
    let sum: u64 = (0..bound).map(|i| i * i % 7).sum();
    Order::printing(in_python(&program), format!("{sum}\n"))
}

fn python_threads(draw: &mut Draw, _: &Setting) -> Order {
    let count = draw.below(16) + 1;
    let program = format!(
        "import threading
sums = []
threads = [threading.Thread(target=lambda i=i: sums.append(i * i)) for i in range({count})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(sums))"
    );
    let sum: u64 = (0..count).map(|i| i * i).sum();
    Order::printing(in_python(&program), format!("{sum}\n"))
}

fn python_processes(draw: &mut Draw, _: &Setting) -> Order {
    let count = draw.below(6) + 1;
    let program = format!(
        "import subprocess
print([subprocess.run(['sh', '-c', f'exit {{i}}'], check=False).returncode for i in range({count})])"
    );
    let codes: Vec<_> = (0..count).map(|i| i.to_string()).collect();
    Order::printing(in_python(&program), format!("[{}]\n", codes.join(", ")))
}

fn python_memory(draw: &mut Draw, _: &Setting) -> Order {
    let size = (draw.below(48) + 1) << 20;
    let program = format!("held = bytes({size})\nheld = held + b'x'\nprint(len(held), held[-1])");
    Order::printing(in_python(&program), format!("{} 120\n", size + 1))
}

fn compiled(draw: &mut Draw, setting: &Setting) -> Order {
    let bound = draw.below(1_000_000) + 1;
    let mut request = patient(ExecRequest::new([format!("./{C_PROGRAM}"), bound.to_string()]));
    request.files.extend(setting.compiled.clone());
    Order::printing(request, format!("{}\n", bound * (bound - 1) / 2))
}

fn compiling(_: &mut Draw, setting: &Setting) -> Order {
    // The same source gives the same program.
    let file = setting.compiled.iter().map(|file| (C_PROGRAM.to_owned(), file.content.to_vec()));
    with_files(Order::printing(compile(), ""), file.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_exactly_what_must_come() {
        let setting =
            Setting { level: rollcage_types::IsolationLevel::Full, is_counted: true, compiled: None };
        for kind in BENIGN.iter().chain([&CANARY]) {
            for ticket in 0..20 {
                let Expected { ends, stdout, stderr, .. } =
                    kind.order(&mut Draw::of(3, ticket), &setting).expected;
                assert!(ends.len() == 1 && stdout.is_some() && stderr.is_some(), "{}", kind.name);
            }
        }
    }
}
