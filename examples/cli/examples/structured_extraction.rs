//! From a message to a value of your own type: the schema holds the answer, serde reads it.
//!
//! ```sh
//! cargo run -p pocketlm-cli --example structured_extraction -- MODEL.gguf "Ada, 36, wants two tickets."
//! ```

use anyhow::{Context, Result, bail};
use pocketlm::{
    FinishReason, GenerateOptions, LoadOptions, LocalModel, OutputFormat, SampleOptions,
    SessionOptions,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the app works with.
#[derive(Debug, Deserialize)]
struct Request {
    name: String,
    topic: Topic,
    quantity: Option<u32>,
    urgent: bool,
    summary: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Topic {
    Order,
    Complaint,
    Question,
    Other,
}

/// The same as a schema. Properties are written in this order, so what needs thought comes last.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "maxLength": 40 },
            "topic": { "enum": ["order", "complaint", "question", "other"] },
            "quantity": { "type": ["integer", "null"], "minimum": 1, "maximum": 1000 },
            "urgent": { "type": "boolean" },
            "summary": { "type": "string", "maxLength": 120 },
        },
        "required": ["name", "topic", "quantity", "urgent", "summary"],
    })
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args
        .next()
        .context("usage: structured_extraction MODEL.gguf [MESSAGE]")?;
    let message = args.next().unwrap_or_else(|| {
        "Hello, this is Grace Hopper. Please send me three of the blue notebooks, I need them \
         before Friday!"
            .into()
    });
    let model = LocalModel::load(model, LoadOptions::default())?;
    let session = model.session(SessionOptions::instructions(
        "Extract the customer's request as JSON: name, topic, quantity, urgent, summary.",
    ))?;
    let options = GenerateOptions {
        sample: SampleOptions::greedy(),
        max_tokens: Some(200),
        format: Some(OutputFormat::JsonSchema(schema())),
        ..GenerateOptions::default()
    };
    let answer = session.respond(&message, &options)?;
    // Cut off, it is the beginning of a valid answer and not one.
    if answer.finish != FinishReason::EndOfTurn {
        bail!("the answer is incomplete: {}", answer.finish);
    }
    let request: Request = serde_json::from_str(&answer.text)?;
    println!("{request:#?}");
    Ok(())
}
