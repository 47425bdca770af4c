//! `rollcage serve`: programs and judgements over HTTP.

use std::env::VarError;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::ExitCode;
use rollcage_engine::drive::{Engine, Stop};
use rollcage_server::{LimitMaxima, ListenAddress, ListenError, Listener, ServerConfig, Token};
use rollcage_types::{ByteSize, parse_duration};
use serde::Serialize;

use crate::cage_options::CageOptions;
use crate::engine_host::{OnSignal, with_engine};
use crate::failure::Failure;
use crate::language_files::LanguagesOption;
use crate::output;
use crate::reuse_options::ReuseOptions;

/// Descriptors for everything that is not a connection: cages' pipes, groups, and workspaces.
const DESCRIPTORS_KEPT: u64 = 1024;

/// Run programs and judge solutions for clients over HTTP
///
/// Listens on loopback unless told otherwise, and prints where in one line of JSON when it is ready. Ends on SIGTERM or
/// Ctrl-C: it accepts nothing more and finishes what it has; a second signal ends it at once.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen: HOST:PORT (port 0 picks one), or unix:PATH. Beyond loopback a token is required
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: ListenAddress,
    /// File that holds the token clients must send as `Authorization: Bearer TOKEN`; ROLLCAGE_TOKEN holds one too
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Cages at once [default: four for each processor]
    #[arg(long, value_name = "N")]
    slots: Option<usize>,
    /// Requests that may wait; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().queue_max)]
    queue: usize,
    /// How long a request may wait for a cage before it is refused with 504
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    queue_time: Duration,
    /// The largest body of a request
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    body_limit: ByteSize,
    /// How long a client may take over sending a request, or reading what is written to it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    client_time: Duration,
    /// How long requests in work may take when the server ends
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    drain_time: Duration,
    /// The longest time limit a request may ask for
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    time_max: Duration,
    /// The highest memory or disk limit a request may ask for
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    memory_max: ByteSize,
    /// End when standard input does: for a parent that must not leave a server behind
    #[arg(long)]
    exit_with_stdin: bool,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    cages: CageOptions,
    #[command(flatten)]
    reuse: ReuseOptions,
}

const EXAMPLES: &str = "\
Examples:
  rollcage serve
  rollcage serve --listen 0.0.0.0:8080 --token-file /etc/rollcage/token
  curl -s localhost:8080/v1/execute --json '{\"language\": \"python\", \"code\": \"print(6 * 7)\"}'
  curl -s localhost:8080/v1/judge --json '{\"language\": \"python\", \"solution\": \"print(int(input()) + 1)\",
    \"problem\": {\"cases\": [{\"stdin\": \"1\\n\", \"expected\": \"2\\n\"}]}}'

/openapi.json describes every path, /health says whether it takes work, /metrics counts for Prometheus.";

#[derive(Serialize)]
struct Ready {
    listening: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let languages = args.languages.load()?;
    let token = token(args)?;
    let mut config = args.cages.host_config(None);
    config.slots = args.slots.unwrap_or(config.slots);
    let stop = Stop::new();
    with_engine(args.reuse.engine_config(&config, languages), OnSignal::Ask(stop.clone()), async |engine| {
        serve(engine, args, token, stop).await?;
        Ok(ExitCode::Success.number())
    })
}

async fn serve(engine: Engine, args: &Args, token: Option<Token>, stop: Stop) -> Result<(), Failure> {
    let usual = ServerConfig::default();
    let config = ServerConfig {
        queue_max: args.queue,
        queue_time: args.queue_time,
        body_max: args.body_limit,
        stall_time: args.client_time,
        drain_time: args.drain_time,
        connections_max: usual.connections_max.min(descriptors_to_spare()),
        limits: LimitMaxima { time: args.time_max, memory: args.memory_max, ..usual.limits },
        token,
        ..usual
    };
    let listener = Listener::bind(&args.listen, config.token.is_some()).map_err(cannot_listen)?;
    output::print_json(&Ready { listening: listener.address().to_string() })?;
    let input_ended = args.exit_with_stdin.then(stdin_ended).transpose()?;
    let shutdown = async move {
        match input_ended {
            None => stop.requested().await,
            Some(ended) => tokio::select! {
                () = stop.requested() => {}
                _ended = ended => {}
            },
        }
    };
    rollcage_server::serve(listener, engine, config, shutdown).await;
    Ok(())
}

/// A thread of its own reads: the runtime's would be waited for when it ends.
fn stdin_ended() -> Result<tokio::sync::oneshot::Receiver<()>, Failure> {
    let (sender, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut ignored = [0; 1024];
            while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
            // Nobody listens only if the server has ended.
            let _unheard = sender.send(());
        })
        .context("cannot start a thread")
        .map_err(Failure::infrastructure)?;
    Ok(ended)
}

fn token(args: &Args) -> Result<Option<Token>, Failure> {
    let text = match &args.token_file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .map_err(Failure::bad_input)?,
        ),
        None => match std::env::var("ROLLCAGE_TOKEN") {
            Ok(text) => Some(text),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => return Err(Failure::usage("ROLLCAGE_TOKEN is not text")),
        },
    };
    let Some(text) = text else { return Ok(None) };
    Token::new(&text).map(Some).ok_or_else(|| {
        Failure::usage("the token is empty").with_hint("leave it away to ask for none, on loopback only")
    })
}

/// Connections for which there are descriptors, once we have as many as we may have.
fn descriptors_to_spare() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_refused) => current,
    };
    let spare = raised.map_or(u64::MAX, |most| most.saturating_sub(DESCRIPTORS_KEPT).max(most / 2));
    usize::try_from(spare).unwrap_or(usize::MAX)
}

fn cannot_listen(error: ListenError) -> Failure {
    let hint = match &error {
        ListenError::Address { .. } => "for example --listen 127.0.0.1:8080",
        ListenError::Open { .. } => "set a token with --token-file or ROLLCAGE_TOKEN",
        ListenError::Bind { .. } => "another server may be there; --listen 127.0.0.1:0 picks a free port",
    };
    Failure::usage(error).with_hint(hint)
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
