//! `pocketlm score`: how likely a model finds given continuations. All evaluation builds on it.
//!
//! One JSON object a line in, one out:
//!
//! ```text
//! {"prompt_ids":[…],"continuation_ids":[…]}  or  {"prompt":"…","continuation":"…"}
//! {"positions":[{"id":…,"logprob":…,"rank":…,"top":[[id,logprob],…]},…]}
//! ```
//!
//! Texts are tokenized as they stand, each on its own: special tokens in them count as such (the
//! input is an evaluator's, not a user's), the prompt begins with what the model begins a text
//! with, and no chat template is applied.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use pocketlm::tokenizer::Special;
use pocketlm::{LocalModel, PositionScore};
use serde_json::{Map, Value, json};

use crate::output::Output;
use crate::{Globals, interrupt, model_choice};

/// Arguments of `pocketlm score`.
#[derive(Args)]
pub struct ScoreArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
    /// Cases, one JSON object a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Most likely tokens to list at each position
    #[arg(long, value_name = "N", default_value_t = 0)]
    top: usize,
}

/// Scores every case of the input, in order.
pub fn command(args: &ScoreArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    interrupt::install()?;
    let (lines, name): (Box<dyn BufRead>, String) = if args.input.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), "standard input".into())
    } else {
        let name = args.input.display().to_string();
        let file = File::open(&args.input).with_context(|| format!("cannot open {name}"))?;
        (Box::new(BufReader::new(file)), name)
    };
    let model = model_choice::load(args.model.as_deref(), globals)?;
    for (i, line) in lines.lines().enumerate() {
        let place = || format!("{name}, line {}", i + 1);
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let (prompt, continuation) = Case::parse(&line)
            .and_then(|case| case.ids(&model))
            .with_context(place)?;
        let scores = model
            .score(&prompt, &continuation, args.top)
            .with_context(place)?;
        let positions: Value = scores.iter().map(position_json).collect();
        out.json(&json!({ "positions": positions }))?;
    }
    Ok(())
}

/// A part of a case, as it was given.
#[derive(Debug, PartialEq)]
enum Part {
    Ids(Vec<u32>),
    Text(String),
}

/// One line of the input.
#[derive(Debug, PartialEq)]
struct Case {
    prompt: Part,
    continuation: Part,
}

impl Case {
    fn parse(line: &str) -> Result<Self> {
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|error| anyhow!("not a JSON object (column {})", error.column()))?;
        Ok(Self {
            prompt: part(&object, "prompt")?,
            continuation: part(&object, "continuation")?,
        })
    }

    /// Prompt and continuation as tokens.
    fn ids(self, model: &LocalModel) -> Result<(Vec<u32>, Vec<u32>)> {
        let encode = |part: Part, begins: bool| match part {
            Part::Ids(ids) => Ok(ids),
            Part::Text(text) => model.tokenizer().encode(&text, begins, Special::Parse),
        };
        Ok((
            encode(self.prompt, true)?,
            encode(self.continuation, false)?,
        ))
    }
}

/// The field `{name}_ids` or `{name}`: exactly one of them must be there.
fn part(object: &Map<String, Value>, name: &str) -> Result<Part> {
    let ids_name = format!("{name}_ids");
    match (object.get(&ids_name), object.get(name)) {
        (Some(ids), None) => {
            Ok(Part::Ids(ids_of(ids).with_context(|| {
                format!("`{ids_name}` is no list of token ids")
            })?))
        }
        (None, Some(Value::String(text))) => Ok(Part::Text(text.clone())),
        (None, Some(_)) => bail!("`{name}` is no text"),
        (None, None) => bail!("neither `{ids_name}` nor `{name}` is given"),
        (Some(_), Some(_)) => bail!("both `{ids_name}` and `{name}` are given"),
    }
}

fn ids_of(value: &Value) -> Option<Vec<u32>> {
    let ids = value.as_array()?.iter();
    ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}

fn position_json(score: &PositionScore) -> Value {
    let top: Value = score
        .top
        .iter()
        .map(|&(id, logprob)| json!([id, rounded(logprob)]))
        .collect();
    json!({ "id": score.id, "logprob": rounded(score.logprob), "rank": score.rank, "top": top })
}

/// Six decimals: more than the arithmetic is good for, and a third of the bytes. A log-probability
/// of minus infinity becomes null, since JSON has no such number.
fn rounded(logprob: impl Into<f64>) -> f64 {
    (logprob.into() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_case_are_read() {
        let case =
            Case::parse(r#"{"prompt_ids":[1,2],"continuation_ids":[3],"name":"x"}"#).unwrap();
        assert_eq!(
            (case.prompt, case.continuation),
            (Part::Ids(vec![1, 2]), Part::Ids(vec![3]))
        );
        let case = Case::parse(r#"{"prompt":"a","continuation":"b"}"#).unwrap();
        assert_eq!(
            (case.prompt, case.continuation),
            (Part::Text("a".into()), Part::Text("b".into()))
        );
    }

    #[test]
    fn a_bad_case_says_what_is_wrong() {
        for (line, expected) in [
            ("", "not a JSON object"),
            ("[1]", "not a JSON object"),
            (
                r#"{"prompt":"a"}"#,
                "neither `continuation_ids` nor `continuation`",
            ),
            (
                r#"{"prompt":"a","prompt_ids":[1],"continuation":""}"#,
                "both",
            ),
            (r#"{"prompt":1,"continuation":""}"#, "`prompt` is no text"),
            (
                r#"{"prompt_ids":[-1],"continuation":""}"#,
                "`prompt_ids` is no list",
            ),
            (
                r#"{"prompt_ids":[4294967296],"continuation":""}"#,
                "`prompt_ids` is no list",
            ),
            (
                r#"{"prompt_ids":[1.5],"continuation":""}"#,
                "`prompt_ids` is no list",
            ),
        ] {
            let error = format!("{:#}", Case::parse(line).unwrap_err());
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(json!(rounded(-0.1)).to_string(), "-0.1");
        assert_eq!(json!(rounded(f64::NEG_INFINITY)).to_string(), "null");
    }
}
