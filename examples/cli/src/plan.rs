//! `pocketlm plan`: what a model needs, before it is loaded.

use anyhow::{Context, Result};
use clap::Args;
use pocketlm::{Fit, LocalModel, Plan};
use serde_json::{Value, json};

use crate::output::{self, Output};
use crate::{Globals, model_choice};

/// Arguments of `pocketlm plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
}

/// Shows the plan.
pub fn command(args: &PlanArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let path = model_choice::resolve(args.model.as_deref())?;
    let plan = LocalModel::plan(&path, &model_choice::load_options(globals))
        .with_context(|| format!("cannot plan {}", path.display()))?;
    if out.json {
        return out.json(&to_json(&plan));
    }
    let setting = plan.setting;
    let device = if setting.gpu { "gpu" } else { "cpu" };
    out.line(&format!(
        "{device}, {} tokens of context, {} cache",
        setting.context, setting.kv
    ))?;
    for (name, bytes) in rows(&plan) {
        out.line(&format!("{name:<34}{:>12}", output::bytes(bytes)))?;
    }
    let available = plan.available.map_or("unknown".into(), output::bytes);
    out.line(&format!("{:<34}{available:>12}", "available"))?;
    out.line(verdict(plan.fit))?;
    if let Some(other) = plan.suggestion {
        let command = format!("--context {} --kv {}", other.context, other.kv);
        out.line(&format!("better: {command} ({})", verdict(other.fit)))?;
    }
    Ok(())
}

/// What is needed, by kind.
fn rows(plan: &Plan) -> [(&'static str, u64); 7] {
    [
        ("weights, in the mapped file", plan.weights_mapped),
        ("weights, private", plan.weights_private),
        ("vocabulary", plan.tokenizer),
        ("keys and values of a session", plan.kv),
        ("shared instructions, at most", plan.shared_prefixes),
        ("scratch", plan.scratch),
        ("private memory, all of it", plan.private()),
    ]
}

fn name(fit: Fit) -> &'static str {
    match fit {
        Fit::InMemory => "in_memory",
        Fit::FromStorage => "from_storage",
        Fit::No => "no",
        _ => "unknown",
    }
}

fn verdict(fit: Fit) -> &'static str {
    match fit {
        Fit::InMemory => "fits in memory",
        Fit::FromStorage => "runs, but reads weights from storage for each token",
        Fit::No => "does not fit",
        _ => "this system does not tell how much memory there is",
    }
}

fn to_json(plan: &Plan) -> Value {
    let setting = plan.setting;
    json!({
        "device": if setting.gpu { "gpu" } else { "cpu" },
        "context": setting.context,
        "kv_type": setting.kv.to_string(),
        "threads": setting.threads,
        "weights_mapped": plan.weights_mapped,
        "weights_private": plan.weights_private,
        "tokenizer": plan.tokenizer,
        "kv": plan.kv,
        "shared_prefixes": plan.shared_prefixes,
        "scratch": plan.scratch,
        "private": plan.private(),
        "total": plan.total(),
        "available": plan.available,
        "fit": name(plan.fit),
        "suggestion": plan.suggestion.map(|other| json!({
            "context": other.context,
            "kv_type": other.kv.to_string(),
            "fit": name(other.fit),
        })),
    })
}
