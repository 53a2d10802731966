//! `pocketlm bench`: speed and memory, in llama-bench's terms.
//!
//! ```text
//! open ─→ plan ─→ load ─→ first token ─→ prompt ─→ generate ─→ verify ─→ generate deeper ─→ report
//!                                                  ╰ read bandwidth, before and after
//! ```
//!
//! `ppN` is the speed of processing a prompt of N tokens, `tgN` that of generating N tokens one by
//! one from an empty context, `tgN_dD` from a context of D tokens; all in tokens per second, the
//! median of some repetitions after a first run that does not count. `verify_K` is the time of one
//! pass over K tokens with the logits of each, as checking K drafted tokens takes, in passes over
//! one token. The memory's read bandwidth is measured in the same run, by as many threads:
//! generating cannot be faster than reading the weights once for each token, so
//! `bandwidth_fraction` tells how much of the machine is used.

mod footprint;
mod plan;
mod report;
mod timing;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use pocketlm::gguf::Gguf;
use pocketlm::kernels::cpu::Engine;
use pocketlm::{LoadOptions, LocalModel, ModelInfo};

use crate::output::Output;
use crate::read_bandwidth::ReadBandwidth;
use crate::{Globals, model_choice};
use footprint::Footprint;
use plan::Plan;
use report::Report;
use timing::Timing;

pub(crate) use timing::median;

/// Arguments of `pocketlm bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
    /// Tokens of the prompt; 0 leaves that measurement out
    #[arg(short = 'p', long, value_name = "N", default_value_t = 512)]
    prompt: usize,
    /// Tokens to generate; 0 leaves that measurement out
    #[arg(short = 'n', long, value_name = "N", default_value_t = 128)]
    generate: usize,
    /// Tokens in the context before those to generate [default: 0 and, where the model's context
    /// allows, 4096]
    #[arg(short = 'd', long = "depth", value_name = "N,…", value_delimiter = ',')]
    depths: Vec<usize>,
    /// Tokens of one verification pass; 0 leaves that measurement out [default: 2,4,8]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    verify: Vec<usize>,
    /// Repetitions; the median counts
    #[arg(short = 'r', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
}

/// Measures, and prints a table or one JSON object.
pub fn command(args: &BenchArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let path = model_choice::resolve(args.model.as_deref())?;
    let mut footprint = Footprint::default();
    footprint.begin();
    let loaded = load(args, globals, &path)?;
    footprint.end(0);
    let (plan, model) = (&loaded.plan, &loaded.model);

    let mut timing = Timing::new(model, plan, footprint)?;
    // The first use of the model comes first: what loading put off is paid here.
    let first_token_s = timing.first_token()?;
    let prompt = timing.prompt_rate()?;

    // The bandwidth is measured just before and just after the row it is compared with, since the
    // speed of a shared machine drifts.
    let threads = globals.threads.unwrap_or_else(Engine::default_threads);
    let mut bandwidth = ReadBandwidth::new(threads, &loaded.gguf);
    bandwidth.measure();
    let mut generate = Vec::new();
    let (shallow, deeper) = plan.depths.split_at(plan.depths.len().min(1));
    for &depth in shallow {
        generate.push((depth, timing.generate_rate(depth)?));
    }
    bandwidth.measure();

    let verify = timing.verify_ratios()?;
    // The deepest cache last: what a freed one leaves behind in the allocator would count for the
    // rows after it.
    for &depth in deeper {
        generate.push((depth, timing.generate_rate(depth)?));
    }

    let report = Report {
        threads,
        kv: globals.kv,
        load_s: loaded.seconds,
        first_token_s,
        prompt,
        generate,
        verify,
        footprint: timing.footprint,
        read_rate: bandwidth.bytes_per_second(),
    };
    match out.json {
        true => out.json(&report.to_json(plan, model, &path)),
        false => report.write(plan, model, out),
    }
}

/// A model that is ready to be measured.
struct Loaded {
    plan: Plan,
    model: LocalModel,
    gguf: Gguf,
    /// How long loading took.
    seconds: f64,
}

/// Plans and loads. The plan depends on what the file says of itself and the loading on the plan;
/// the time for planning does not count, and the file is not read beforehand: from a cold disk,
/// reading its header is most of what loading does.
fn load(args: &BenchArgs, globals: &Globals, path: &Path) -> Result<Loaded> {
    let cannot_load = || format!("cannot load {}", path.display());
    let start = Instant::now();
    let gguf = Gguf::open(path).with_context(cannot_load)?;
    let opening = start.elapsed();

    let info = ModelInfo::from_gguf(&gguf).with_context(cannot_load)?;
    let plan = Plan::new(args, globals.context, info.context)?;
    let options = LoadOptions {
        context: plan.context,
        ..model_choice::load_options(globals)
    };

    let start = Instant::now();
    let model = LocalModel::from_gguf(&gguf, &options).with_context(cannot_load)?;
    let seconds = (opening + start.elapsed()).as_secs_f64();
    model.notices().iter().for_each(model_choice::show_notice);
    Ok(Loaded {
        plan,
        model,
        gguf,
        seconds,
    })
}
