//! What was measured, as a table or as one JSON object.

use std::path::Path;

use anyhow::Result;
use pocketlm::LocalModel;
use pocketlm::kernels::KvType;
use serde_json::{Map, Value, json};

use super::footprint::Footprint;
use super::plan::Plan;
use crate::output::{self, Output};

/// What was measured; rates in units per second.
pub struct Report {
    pub threads: usize,
    /// How the CPU kept keys and values.
    pub kv: KvType,
    pub load_s: f64,
    pub first_token_s: f64,
    pub prompt: Option<f64>,
    /// Depths and rates.
    pub generate: Vec<(usize, f64)>,
    /// Sizes of verification passes, and their time in passes over one token.
    pub verify: Vec<(usize, f64)>,
    pub footprint: Footprint,
    pub read_rate: Option<f64>,
}

impl Report {
    /// One flat object; what could not be measured is null, what was left out is not there.
    pub fn to_json(&self, plan: &Plan, model: &LocalModel, path: &Path) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_string(), value);
        put("model", json!(path));
        put("architecture", json!(model.info().architecture));
        put("device", json!(model.device_name()));
        put("hardware", json!(model.device()));
        put("threads", json!(self.threads));
        if model.device_name() == "cpu" {
            put("kv", json!(self.kv.to_string()));
        }
        put("context", json!(model.context()));
        put("repetitions", json!(plan.repetitions));
        if let Some(rate) = self.prompt {
            put(&format!("pp{}", plan.prompt), json!(rate));
        }
        for &(depth, rate) in &self.generate {
            put(&generate_name(plan.generate, depth), json!(rate));
        }
        for &(size, ratio) in &self.verify {
            put(&format!("verify_{size}"), json!(ratio));
        }
        put("load_s", json!(self.load_s));
        put("first_token_s", json!(self.first_token_s));
        let memory = &self.footprint;
        put("peak_rss_bytes", json!(memory.resident));
        put("private_bytes", json!(memory.private));
        put("private_beyond_kv_bytes", json!(memory.private_beyond_kv));
        put("kv_cache_bytes", json!(memory.kv_cache));
        let gigabytes = self.read_rate.map(|rate| rate / 1e9);
        put("read_gb_per_s", json!(gigabytes));
        put("bytes_per_token", json!(model.bytes_per_token()));
        let fraction = self.bandwidth_fraction(model.bytes_per_token());
        put("bandwidth_fraction", json!(fraction));
        Value::Object(object)
    }

    /// A table.
    pub fn write(&self, plan: &Plan, model: &LocalModel, out: &mut Output) -> Result<()> {
        let mut row = |label: &str, text: String| out.line(&format!("{label:<18} {text:>12}"));
        row("device", model.device_name().into())?;
        row("threads", self.threads.to_string())?;
        if let Some(rate) = self.prompt {
            row(&format!("pp{}", plan.prompt), format!("{rate:.1} tok/s"))?;
        }
        for &(depth, rate) in &self.generate {
            let name = generate_name(plan.generate, depth);
            row(&name, format!("{rate:.1} tok/s"))?;
        }
        for &(size, ratio) in &self.verify {
            row(
                &format!("verify {size} tokens"),
                format!("{ratio:.2} steps"),
            )?;
        }
        row("load", format!("{:.2} s", self.load_s))?;
        row("first token", format!("{:.2} s", self.first_token_s))?;
        let bytes = |count: Option<u64>| count.map_or("unknown".into(), output::bytes);
        row("peak RSS", bytes(self.footprint.resident))?;
        row("peak private", bytes(self.footprint.private))?;
        row(
            "  beyond the cache",
            bytes(self.footprint.private_beyond_kv),
        )?;
        row("largest cache", output::bytes(self.footprint.kv_cache))?;
        if let Some(rate) = self.read_rate {
            row("memory reads", format!("{:.1} GB/s", rate / 1e9))?;
        }
        if let Some(fraction) = self.bandwidth_fraction(model.bytes_per_token()) {
            row("of bandwidth", format!("{:.0} %", fraction * 100.0))?;
        }
        Ok(())
    }

    /// The share of the read bandwidth that reading the weights once for each token takes; known
    /// for an empty context, where the cache adds nothing to speak of.
    fn bandwidth_fraction(&self, bytes_per_token: u64) -> Option<f64> {
        let (_, rate) = self.generate.iter().find(|(depth, _)| *depth == 0)?;
        Some(bytes_per_token as f64 * rate / self.read_rate?)
    }
}

/// `tg128`, and `tg128_d4096` from a context of 4,096 tokens.
fn generate_name(tokens: usize, depth: usize) -> String {
    match depth {
        0 => format!("tg{tokens}"),
        _ => format!("tg{tokens}_d{depth}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(generate: Vec<(usize, f64)>, read_rate: Option<f64>) -> Report {
        Report {
            threads: 2,
            kv: KvType::F16,
            load_s: 0.1,
            first_token_s: 0.2,
            prompt: None,
            generate,
            verify: Vec::new(),
            footprint: Footprint::default(),
            read_rate,
        }
    }

    #[test]
    fn rows_have_llama_bench_s_names() {
        assert_eq!(generate_name(128, 0), "tg128");
        assert_eq!(generate_name(32, 4096), "tg32_d4096");
    }

    #[test]
    fn the_share_of_the_bandwidth_is_that_of_an_empty_context() {
        let rows = vec![(0, 50.0), (4096, 20.0)];
        let share = report(rows, Some(40e9)).bandwidth_fraction(400_000_000);
        assert_eq!(share, Some(0.5));
        let deep_only = report(vec![(4096, 20.0)], Some(40e9));
        assert_eq!(deep_only.bandwidth_fraction(400_000_000), None);
        let unknown = report(vec![(0, 50.0)], None);
        assert_eq!(unknown.bandwidth_fraction(400_000_000), None);
    }
}
