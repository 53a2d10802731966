//! An agent that plans its steps and uses local tools: it lists and reads the files of a folder,
//! does arithmetic and knows the time. Nothing leaves the machine, and nothing is written.
//!
//! ```sh
//! cargo run --example tool_agent -- model.gguf docs "How many words has the longest file?"
//! ```

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pocketlm::chat::{ToolCall, ToolSpec};
use pocketlm::{
    Event, FunctionTool, GenerateOptions, LoadOptions, LocalModel, PocketError, SessionOptions,
    Tool,
};
use serde_json::{Value, json};

const INSTRUCTIONS: &str = "You are a careful assistant with tools. First say in one sentence which steps you will \
take. Then take them one at a time with the tools: look at files before you speak of them, and leave arithmetic to \
the calculator. When you have what you need, answer in plain words.";

/// The most text of a file that the model gets, in bytes.
const MOST: usize = 8 << 10;

fn main() -> Result<(), PocketError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, task] = args.as_slice() else {
        eprintln!("usage: tool_agent MODEL.gguf FOLDER TASK");
        std::process::exit(2);
    };
    let model = LocalModel::load(model, LoadOptions::default())?;
    let session = model.session(SessionOptions {
        instructions: Some(INSTRUCTIONS.into()),
        tools: vec![clock(), calculator(), list_files(folder), read_file(folder)],
        ..SessionOptions::default()
    })?;
    let options = GenerateOptions::greedy().with_max_tokens(1024);
    for event in session.stream(task, &options)? {
        match event? {
            Event::Text(text) | Event::Reasoning(text) => print!("{text}"),
            Event::ToolCall(call) => println!("\n→ {} {}", call.name, call.arguments),
            Event::ToolResult { content, .. } => println!("← {}", first_line(&content)),
            Event::Done { finish, usage } => {
                let (read, written) = (usage.prompt_tokens, usage.generated_tokens);
                println!("\n({finish}; {read} tokens read, {written} written)");
            }
            _ => {}
        }
    }
    Ok(())
}

fn clock() -> Arc<dyn Tool> {
    let spec = ToolSpec::new(
        "seconds_since_1970",
        "The current time (UTC), in seconds since the beginning of 1970.",
        json!({"type": "object", "properties": {}}),
    );
    FunctionTool::shared(spec, |_, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map(|time| time.as_secs().to_string())
            .map_err(|error| error.to_string())
    })
}

fn calculator() -> Arc<dyn Tool> {
    let spec = ToolSpec::new(
        "calculate",
        "One step of arithmetic.",
        json!({
            "type": "object",
            "properties": {
                "a": {"type": "number"},
                "operation": {"type": "string", "enum": ["+", "-", "*", "/"]},
                "b": {"type": "number"},
            },
            "required": ["a", "operation", "b"],
        }),
    );
    FunctionTool::shared(spec, |call, _| {
        // The runtime has checked that they are there and of their types.
        let number = |name: &str| call.arguments[name].as_f64().unwrap_or(f64::NAN);
        let (a, b) = (number("a"), number("b"));
        let result = match call.arguments["operation"].as_str() {
            Some("+") => a + b,
            Some("-") => a - b,
            Some("*") => a * b,
            _ if b == 0.0 => return Err("division by zero".into()),
            _ => a / b,
        };
        Ok(result.to_string())
    })
}

fn list_files(folder: &str) -> Arc<dyn Tool> {
    let spec = ToolSpec::new(
        "list_files",
        "The names and sizes in bytes of the files in the folder.",
        json!({"type": "object", "properties": {}}),
    );
    let folder = PathBuf::from(folder);
    FunctionTool::shared(spec, move |_, _| {
        let entries = fs::read_dir(&folder).map_err(|error| error.to_string())?;
        let mut files: Vec<String> = entries
            .flatten()
            .filter_map(|entry| {
                let size = entry.metadata().ok().filter(fs::Metadata::is_file)?.len();
                Some(format!("{} ({size})", entry.file_name().to_string_lossy()))
            })
            .collect();
        files.sort();
        Ok(files.join("\n"))
    })
}

fn read_file(folder: &str) -> Arc<dyn Tool> {
    let spec = ToolSpec::new(
        "read_file",
        "The beginning of a text file, and how many words the whole file has.",
        json!({
            "type": "object",
            "properties": {"name": {"type": "string", "description": "as list_files gives it"}},
            "required": ["name"],
        }),
    );
    let folder = PathBuf::from(folder);
    FunctionTool::shared(spec, move |call, cancel| {
        let text = fs::read_to_string(inside(&folder, call)?).map_err(|error| error.to_string())?;
        if cancel.is_cancelled() {
            return Err("cancelled".into());
        }
        let words = text.split_whitespace().count();
        let beginning: String = text.chars().take(MOST).collect();
        Ok(json!({"words": words, "text": beginning}).to_string())
    })
}

/// The file that a call names. The model is not to be trusted: a name with folders in it, or a link
/// that leads outside, is refused.
fn inside(folder: &Path, call: &ToolCall) -> Result<PathBuf, String> {
    let name = call.arguments["name"].as_str().unwrap_or_default();
    let mut parts = Path::new(name).components();
    let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
        return Err(format!("{name} is not the name of a file"));
    };
    let folder = fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let file = fs::canonicalize(folder.join(name)).map_err(|_| format!("there is no {name}"))?;
    match file.starts_with(&folder) {
        true => Ok(file),
        false => Err(format!("{name} is outside of the folder")),
    }
}

fn first_line(content: &str) -> String {
    let content = match serde_json::from_str::<Value>(content) {
        Ok(value) => value.to_string(),
        Err(_) => content.to_owned(),
    };
    content
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(100)
        .collect()
}
