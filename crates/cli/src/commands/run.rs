//! `rollcage run`: one program in a cage, its output and its exit code passed through.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollcage_api::ExitCode;
use rollcage_language::Language;
use rollcage_sandbox::Cancel;
use rollcage_types::{ByteSize, CapturePlan, ExecRequest};

use crate::cage_options::CageOptions;
use crate::execute;
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::language_files::LanguagesOption;
use crate::limit_options::LimitOptions;
use crate::network_options::NetworkOptions;
use crate::root_option::RootOption;
use crate::run_report;
use crate::{host, program_file, toolchain};

/// Run one program in a cage
///
/// Prints what the program prints, byte for byte, and ends with the program's exit code. Compiled languages are
/// compiled first, in a cage of their own.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The program, or `-` to read it from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its language, by name or alias; not needed where the file's ending or `#!` line says it
    #[arg(short, long, value_name = "LANG")]
    lang: Option<String>,
    /// Arguments for the program, after `--`
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    /// The program's standard input; without it the program reads ours, unless that is a terminal or the program
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Print one JSON object instead: termination, stdout, stderr, usage, enforcement
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    root: RootOption,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    cages: CageOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

const EXAMPLES: &str = "\
Examples:
  rollcage run hello.py
  echo 3 4 | rollcage run sum.cpp --cpu 2s --memory 256MiB
  rollcage run -l python - < answer.txt
  rollcage run --json solve.js --stdin input.txt -- --fast | jq .usage

Sizes are written 64KiB, 256MiB or 1GiB (a bare number is bytes), times 500ms, 5s or 2m (a bare number is \
seconds). Input is read to its end before the program starts, and output is printed when it has ended.

Exit codes: the program's own if it exited; 101 cpu, 102 wall, 103 idle, 104 memory, 105 output, \
106 processes, 107 file size, 108 disk: that limit ended it; 109 a signal ended it; 110 cancelled; 111 it does \
not compile, or a file cannot be read; 112 a compiler or interpreter is missing; 113 we failed. --json tells a \
program that exited with 104 from one that ran out of memory.

A compiled language adds `compile` to the JSON; where `compile.succeeded` is false, the rest describes the \
compiler.";

/// What is run, read and settled.
struct Program {
    language: Arc<Language>,
    source: Vec<u8>,
    stdin: Arc<[u8]>,
    options: Args,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let set = args.languages.load()?;
    // A name that is wrong is said before standard input is waited for.
    let named = args.lang.as_deref().map(|word| program_file::language(&set, Some(word), &args.file, &[]));
    let named = named.transpose()?;
    let source = program_file::read(&args.file, "the program")?;
    let language = match named {
        Some(language) => language,
        None => program_file::language(&set, None, &args.file, &source)?,
    };
    if args.root.is_host() {
        toolchain::require(&language, &args.cages.host_config(None))?;
    }
    require_arguments_pass(&language, &args.args)?;
    let stdin = read_stdin(args)?;
    let program = Program { language, source, stdin, options: args.clone() };
    cancellable(move |cancel| run_program(program, cancel))
}

fn run_program(program: Program, cancel: &Cancel) -> Result<u8, Failure> {
    let Program { language, source, stdin, options } = program;
    let host = host::start_for(&language, 1, options.root.apply(options.cages.host_config(None))?)?;
    let network = options.network.access()?;
    let mut limits = None;
    let adjust = |request: &mut ExecRequest| {
        request.limits = language.run_limits(&options.limits.overrides());
        request.stdin = stdin;
        request.network = network;
        request.argv.extend(options.args);
        if !options.json {
            // Everything up to the limit, so that what is printed is what the program wrote.
            request.capture = CapturePlan { head: request.limits.output, tail: ByteSize::default() };
        }
        limits = Some(request.limits.clone());
    };
    let executed = execute::execute(&host, &language, source, adjust, cancel);
    // The cages go first: a reader of our output may take its time.
    drop(host);
    let executed = match executed {
        // What breaks while everything is torn down says nothing.
        Err(_torn_down) if cancel.is_cancelled() => return Ok(ExitCode::Cancelled.number()),
        executed => executed?,
    };
    if options.json {
        run_report::print_json(&executed)
    } else {
        run_report::print(&executed, &limits.unwrap_or_default())
    }
}

fn read_stdin(args: &Args) -> Result<Arc<[u8]>, Failure> {
    let ours = Path::new("-");
    let path = match &args.stdin {
        Some(path) => path.as_path(),
        None if program_file::is_stdin(&args.file) || std::io::stdin().is_terminal() => {
            return Ok(Arc::from([]));
        }
        None => ours,
    };
    if program_file::is_stdin(path) && program_file::is_stdin(&args.file) {
        return Err(Failure::usage("standard input cannot be both the program and its input"));
    }
    Ok(program_file::read(path, "the program's input")?.into())
}

/// A line that a shell runs keeps its arguments to itself.
fn require_arguments_pass(language: &Language, args: &[String]) -> Result<(), Failure> {
    if args.is_empty() || language.takes_arguments() {
        return Ok(());
    }
    let command = &language.run_command().argv[2];
    Err(Failure::usage(format!("{} programs take no arguments here", language.display))
        .with_hint(format!("its `execute` is a line for a shell, `{command}`; make it a plain command")))
}
