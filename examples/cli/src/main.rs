//! `pocketlm`: chat with, run, inspect, score and measure GGUF models from a terminal.
//!
//! ```text
//! args ─→ ModelChoice (path, or catalogue name → fetch) ─→ LocalModel ─→ one file per command
//! ```
//!
//! Answers and results go to standard output, everything about them to standard error. The exit
//! code is 0 for success, 1 for an error (`error: …` in one line), 2 for wrong usage and 130 after
//! Ctrl-C.

mod answer;
mod bench;
mod catalogue;
mod chat;
mod chat_commands;
mod complete;
mod continuation;
mod download;
mod fetch;
mod generation;
mod inspect;
mod interrupt;
mod model_choice;
mod output;
mod output_format;
mod plan;
mod process_memory;
mod read_bandwidth;
mod run;
mod saved_chat;
mod score;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pocketlm::DeviceChoice;
use pocketlm::kernels::KvType;
use pocketlm::kernels::cpu::Level;
use tracing_subscriber::EnvFilter;

use output::Output;

/// Run language models on this machine.
#[derive(Parser)]
#[command(name = "pocketlm", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    globals: Globals,
}

/// Options of every command.
#[derive(clap::Args, Clone)]
struct Globals {
    /// What computes: `auto` (the GPU where there is one), `cpu`, `gpu`, or the slow and exact `reference`
    #[arg(long, global = true, default_value_t, value_name = "DEVICE")]
    device: DeviceChoice,
    /// CPU threads [default: one for each core]
    #[arg(long, short = 't', global = true, value_name = "N")]
    threads: Option<usize>,
    /// Tokens that prompt and answers together may have [default: 4096, or the model's own limit]
    #[arg(long, short = 'c', global = true, value_name = "N")]
    context: Option<usize>,
    /// Instruction set of the CPU kernels, for tests: `portable`, `avx2`, `avx-vnni`, `avx512`, `neon`,
    /// `dotprod`, `i8mm` [default: the best that this CPU has]
    #[arg(long, global = true, value_name = "LEVEL")]
    cpu_level: Option<Level>,
    /// How keys and values are kept on the CPU: `f16`, or `q8_0` in about half the memory
    #[arg(long, global = true, default_value_t, value_name = "TYPE")]
    kv: KvType,
    /// Write results as JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Log what happens to standard error (`RUST_LOG` selects more exactly)
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Talk with a model
    Chat(chat::ChatArgs),
    /// Answer one prompt
    Run(run::RunArgs),
    /// Fill in what belongs between two texts
    Complete(complete::CompleteArgs),
    /// Show what memory a model needs, without loading it
    Plan(plan::PlanArgs),
    /// Show what is in a model file
    Inspect(inspect::InspectArgs),
    /// Log-probabilities of given continuations, for evaluation
    Score(score::ScoreArgs),
    /// Measure speed and memory
    Bench(bench::BenchArgs),
    /// List the models that can be had by name
    Catalogue(catalogue::CatalogueArgs),
    /// Fetch models by name into the models folder
    Download(download::DownloadArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.globals.verbose);
    quiet_panics();
    let globals = cli.globals;
    let mut out = Output::new(globals.json);
    let result = match &cli.command {
        Command::Chat(args) => chat::command(args, &globals, &mut out),
        Command::Run(args) => run::command(args, &globals, &mut out),
        Command::Complete(args) => complete::command(args, &globals, &mut out),
        Command::Plan(args) => plan::command(args, &globals, &mut out),
        Command::Inspect(args) => inspect::command(args, &globals, &mut out),
        Command::Score(args) => score::command(args, &globals, &mut out),
        Command::Bench(args) => bench::command(args, &globals, &mut out),
        Command::Catalogue(args) => catalogue::command(args, &mut out),
        Command::Download(args) => download::command(args, &mut out),
    };
    match result.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has gone, as `head` does: it has what it wanted.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<interrupt::Interrupted>() {
            Some(_) => ExitCode::from(interrupt::EXIT_CODE),
            None => {
                output::report(&error);
                ExitCode::FAILURE
            }
        },
    }
}

/// Sends the library's log to standard error: warnings, or everything of ours when `verbose`.
fn start_log(verbose: bool) {
    let default = if verbose {
        "pocketlm=debug,info"
    } else {
        "error"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

/// A panic is a bug; it is still reported in the form of every other error.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic
            .location()
            .map(|at| format!(" ({}:{})", at.file(), at.line()));
        eprintln!(
            "error: internal error: {message}{}; please report it",
            place.unwrap_or_default()
        );
    }));
}
