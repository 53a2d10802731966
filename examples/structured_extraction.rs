//! From a message to a value of your own type: the schema holds the answer, serde reads it.
//!
//! ```sh
//! cargo run -p pocketlm --example structured_extraction -- MODEL.gguf "Ada, 36, wants two tickets."
//! ```

use std::error::Error;

use pocketlm::{
    FinishReason, GenerateOptions, LoadOptions, LocalModel, OutputFormat, SampleOptions,
    SessionOptions,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the app works with.
#[derive(Deserialize)]
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args
        .next()
        .ok_or("usage: structured_extraction MODEL.gguf [MESSAGE]")?;
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
        return Err(format!("the answer is incomplete: {}", answer.finish).into());
    }
    let request: Request = serde_json::from_str(&answer.text)?;
    let count = request.quantity.map_or("some".into(), |n| n.to_string());
    let pace = if request.urgent { "at once" } else { "in time" };
    println!("{:?} by {}: {count}, {pace}", request.topic, request.name);
    println!("{}", request.summary);
    Ok(())
}
