//! How well a model calls tools: single-turn sets of the Berkeley Function Calling Leaderboard (v4),
//! through the same session, template and parser that an app uses.
//!
//! ```sh
//! cargo run -p pocketlm-benches --bin bfcl -- MODEL.gguf FOLDER simple_python 0 100
//! ```
//!
//! `FOLDER` holds `BFCL_v4_SET.json` and `possible_answer/BFCL_v4_SET.json`, one object a line, as
//! the benchmark publishes them. The last two numbers choose items, so that a set can be run in
//! pieces. Each item gives a line of JSON on standard output; the score is on standard error.
//!
//! Decoding is greedy, an answer has at most 256 tokens, and the function's description is given to
//! the model as it is but for the names of types, which become those of JSON schema. An item counts
//! when the answer has exactly one call and [`matching`] accepts it.

mod matching;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pocketlm::chat::{ToolCall, ToolSpec};
use pocketlm::{
    DeviceChoice, FinishReason, FunctionTool, GenerateOptions, LoadOptions, LocalModel,
    PocketError, SessionOptions, Tool, Usage,
};
use serde_json::{Value, json};

const MAX_TOKENS: usize = 256;

/// Names of types in the benchmark, and in JSON schema.
const TYPES: &[(&str, &str)] = &[("dict", "object"), ("float", "number"), ("tuple", "array")];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, set, from, count] = args.as_slice() else {
        return Err("usage: bfcl MODEL.gguf FOLDER SET FROM COUNT".into());
    };
    let (from, count): (usize, usize) = (from.parse()?, count.parse()?);
    let file = format!("BFCL_v4_{set}.json");
    let items = lines(&Path::new(folder).join(&file))?;
    let answers = lines(&Path::new(folder).join("possible_answer").join(&file))?;
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        ..LoadOptions::default()
    };
    let model = LocalModel::load(model, options)?;
    let (mut right, mut called, mut run) = (0, 0, 0);
    let start = Instant::now();
    for item in items.iter().skip(from).take(count) {
        let answer = answers.iter().find(|answer| answer["id"] == item["id"]);
        let answer = answer.ok_or_else(|| format!("no answer to {}", item["id"]))?;
        let began = Instant::now();
        let outcome = ask(&model, item)?;
        let verdict = match outcome.calls.as_slice() {
            [call] => matching::check(call, &item["function"], &answer["ground_truth"][0]),
            calls => Err(format!("{} calls instead of one", calls.len())),
        };
        run += 1;
        called += usize::from(!outcome.calls.is_empty());
        right += usize::from(verdict.is_ok());
        let calls: Vec<Value> = outcome.calls.iter().map(|call| json!(call)).collect();
        let line = json!({
            "id": item["id"],
            "right": verdict.is_ok(),
            "why": verdict.err(),
            "calls": calls,
            "text": outcome.text,
            "finish": outcome.finish.to_string(),
            "prompt_tokens": outcome.usage.prompt_tokens,
            "generated_tokens": outcome.usage.generated_tokens,
            "seconds": began.elapsed().as_secs_f64(),
        });
        println!("{line}");
    }
    let share = |n: usize| 100.0 * n as f64 / run.max(1) as f64;
    eprintln!(
        "{set} {from}..{}: {right} of {run} right ({:.1}%), {called} with a call ({:.1}%), {:.0} s",
        from + run,
        share(right),
        share(called),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn lines(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// What the model answered to one item.
struct Answer {
    calls: Vec<ToolCall>,
    text: String,
    finish: FinishReason,
    usage: Usage,
}

fn ask(model: &LocalModel, item: &Value) -> Result<Answer, Box<dyn Error>> {
    let functions = item["function"]
        .as_array()
        .ok_or("an item without functions")?;
    let session = model.session(SessionOptions {
        tools: functions.iter().map(tool).collect(),
        // The calls are looked at, not run.
        max_tool_rounds: 0,
        ..SessionOptions::default()
    })?;
    let question = item["question"][0][0]["content"].as_str();
    let question = question.ok_or("an item without a question")?;
    let options = GenerateOptions::greedy().with_max_tokens(MAX_TOKENS);
    let response = match session.respond(question, &options) {
        Err(PocketError::ContextExceeded { .. }) => {
            return Ok(Answer {
                calls: Vec::new(),
                text: String::new(),
                finish: FinishReason::ContextFull,
                usage: Usage::default(),
            });
        }
        other => other?,
    };
    // The transcript has the arguments as the model wrote them, before any conversion.
    let calls = session.transcript()?.into_iter().flat_map(|m| m.tool_calls);
    Ok(Answer {
        calls: calls.collect(),
        text: response.text,
        finish: response.finish,
        usage: response.usage,
    })
}

fn tool(function: &Value) -> Arc<dyn Tool> {
    let text = |key: &str| function[key].as_str().unwrap_or_default();
    let parameters = with_schema_types(&function["parameters"]);
    let spec = ToolSpec::new(text("name"), text("description"), parameters);
    FunctionTool::shared(spec, |_, _| Err("not run".into()))
}

fn with_schema_types(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter_map(|(key, value)| match value {
                // `any` is no type of JSON schema: its absence means the same.
                Value::String(name) if key == "type" && name == "any" => None,
                Value::String(name) if key == "type" => {
                    let row = TYPES.iter().find(|row| row.0 == name);
                    Some((key.clone(), row.map_or(name.as_str(), |row| row.1).into()))
                }
                value => Some((key.clone(), with_schema_types(value))),
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(with_schema_types).collect(),
        other => other.clone(),
    }
}
