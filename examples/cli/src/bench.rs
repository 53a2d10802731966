//! `pocketlm bench`: speed and memory, in llama-bench's terms.
//!
//! `ppN` is the speed of processing a prompt of N tokens, `tgN` that of generating N tokens one by
//! one from an empty context; both in tokens per second, the median of some repetitions after a
//! first run that does not count. The memory's read bandwidth is measured in the same run, by as
//! many threads: generating cannot be faster than reading the weights once for each token, so
//! `bandwidth_fraction` tells how much of the machine is used.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use pocketlm::session::DEFAULT_CONTEXT;
use pocketlm::{GenerateOptions, LocalModel, SessionOptions};
use serde_json::{Map, Value, json};

use crate::output::{self, Output};
use crate::{Globals, model_choice, process_memory, read_bandwidth};

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
    /// Repetitions; the median counts
    #[arg(short = 'r', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
}

/// Measures, and prints a table or one JSON object.
pub fn command(args: &BenchArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    ensure!(
        args.prompt > 0 || args.generate > 0,
        "nothing to measure: -p and -n are both 0"
    );
    let path = model_choice::resolve(args.model.as_deref())?;
    let mut globals = globals.clone();
    let needed = args.prompt.max(args.generate);
    if globals.context.is_none() && needed > DEFAULT_CONTEXT {
        globals.context = Some(needed);
    }
    let start = Instant::now();
    let model = model_choice::load_file(&path, &globals)?;
    let load_s = start.elapsed().as_secs_f64();
    let threads = globals
        .threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));

    let ids = ordinary_ids(&model, needed)?;
    let bench = Bench {
        load_s,
        first_token_s: first_token(&model)?,
        prompt: repeat(args.prompt, args.repetitions, |n| {
            prompt_seconds(&model, &ids[..n])
        })?,
        generate: repeat(args.generate, args.repetitions, |n| {
            generate_seconds(&model, &ids[..n])
        })?,
        // Before the bandwidth is measured, whose buffer would count.
        peak_resident: process_memory::peak_resident(),
        private: process_memory::private(),
        read_rate: read_bandwidth::measure(threads),
        threads,
    };
    match out.json {
        true => out.json(&bench.to_json(args, &model, &path)),
        false => bench.write(args, &model, out),
    }
}

/// What was measured; rates in units per second.
struct Bench {
    load_s: f64,
    first_token_s: f64,
    prompt: Option<f64>,
    generate: Option<f64>,
    peak_resident: Option<u64>,
    private: Option<u64>,
    read_rate: Option<f64>,
    threads: usize,
}

/// The median rate of `n` tokens over the seconds `run` takes, or `None` for no tokens.
fn repeat(n: usize, repetitions: u16, run: impl Fn(usize) -> Result<f64>) -> Result<Option<f64>> {
    if n == 0 {
        return Ok(None);
    }
    run(n)?;
    let seconds: Result<Vec<f64>> = (0..repetitions).map(|_| run(n)).collect();
    Ok(Some(n as f64 / median(seconds?)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// Seconds from a short message to the first token of the answer, on a model just loaded.
fn first_token(model: &LocalModel) -> Result<f64> {
    let session = model.session(SessionOptions::default())?;
    let response = session.respond("Hello", &GenerateOptions::greedy().with_max_tokens(1))?;
    Ok(response.usage.time_to_first_token.as_secs_f64())
}

/// Seconds to process a prompt up to the logits of its last token.
fn prompt_seconds(model: &LocalModel, ids: &[u32]) -> Result<f64> {
    let mut cache = model.new_cache()?;
    let start = Instant::now();
    model.evaluate(ids, &mut cache, 1)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds to process tokens one by one, with the logits of each, as generating does.
fn generate_seconds(model: &LocalModel, ids: &[u32]) -> Result<f64> {
    let mut cache = model.new_cache()?;
    let start = Instant::now();
    for id in ids {
        model.evaluate(std::slice::from_ref(id), &mut cache, 1)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Tokens of the vocabulary, none of them a control token: which ones does not matter for speed.
fn ordinary_ids(model: &LocalModel, n: usize) -> Result<Vec<u32>> {
    let tokenizer = model.tokenizer();
    let vocabulary = u32::try_from(tokenizer.vocab_size())?;
    let ids = (0..vocabulary)
        .filter(|&id| !tokenizer.is_control(id))
        .step_by(7);
    let ids: Vec<u32> = ids.cycle().take(n).collect();
    ensure!(ids.len() == n, "the vocabulary has no ordinary tokens");
    Ok(ids)
}

impl Bench {
    /// The share of the read bandwidth that reading the weights once for each token takes.
    fn bandwidth_fraction(&self, model: &LocalModel) -> Option<f64> {
        Some(model.bytes_per_token() as f64 * self.generate? / self.read_rate?)
    }

    fn to_json(&self, args: &BenchArgs, model: &LocalModel, path: &Path) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_string(), value);
        put("model", json!(path));
        put("architecture", json!(model.info().architecture));
        put("device", json!(model.device_name()));
        put("threads", json!(self.threads));
        put("repetitions", json!(args.repetitions));
        if args.prompt > 0 {
            put(&format!("pp{}", args.prompt), json!(self.prompt));
        }
        if args.generate > 0 {
            put(&format!("tg{}", args.generate), json!(self.generate));
        }
        put("load_s", json!(self.load_s));
        put("first_token_s", json!(self.first_token_s));
        put("peak_rss_bytes", json!(self.peak_resident));
        put("private_bytes", json!(self.private));
        put(
            "read_gb_per_s",
            json!(self.read_rate.map(|rate| rate / 1e9)),
        );
        put("bytes_per_token", json!(model.bytes_per_token()));
        put("bandwidth_fraction", json!(self.bandwidth_fraction(model)));
        Value::Object(object)
    }

    fn write(&self, args: &BenchArgs, model: &LocalModel, out: &mut Output) -> Result<()> {
        let mut row = |label: &str, text: String| out.line(&format!("{label:<14} {text:>12}"));
        row("device", model.device_name().into())?;
        row("threads", self.threads.to_string())?;
        if let Some(rate) = self.prompt {
            row(&format!("pp{}", args.prompt), format!("{rate:.1} tok/s"))?;
        }
        if let Some(rate) = self.generate {
            row(&format!("tg{}", args.generate), format!("{rate:.1} tok/s"))?;
        }
        row("load", format!("{:.2} s", self.load_s))?;
        row("first token", format!("{:.2} s", self.first_token_s))?;
        let bytes = |count: Option<u64>| count.map_or("unknown".into(), output::bytes);
        row("peak RSS", bytes(self.peak_resident))?;
        row("private", bytes(self.private))?;
        if let Some(rate) = self.read_rate {
            row("memory reads", format!("{:.1} GB/s", rate / 1e9))?;
        }
        if let Some(fraction) = self.bandwidth_fraction(model) {
            row("of bandwidth", format!("{:.0} %", fraction * 100.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }

    #[test]
    fn a_rate_is_tokens_over_the_median_time_after_a_warm_up() {
        let times = std::cell::Cell::new(100.0);
        let run = |_| {
            let time = times.get();
            times.set(if time == 100.0 { 1.0 } else { time + 1.0 });
            Ok(time)
        };
        assert_eq!(repeat(10, 3, run).unwrap(), Some(5.0));
        assert_eq!(repeat(0, 3, |_| anyhow::bail!("not run")).unwrap(), None);
    }
}
