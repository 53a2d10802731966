//! Elements in elements, with the arguments as plain text: Qwen3-Coder and Qwen3.5.
//!
//! ```text
//! <tool_call>
//! <function=name>
//! <parameter=city>
//! Paris
//! </parameter>
//! </function>
//! </tool_call>
//! ```
//!
//! The text of an argument does not say whether `5` is a number. What is JSON other than a string
//! is taken for that; [`check_arguments`](crate::chat::check_arguments) puts right what the tool
//! wants as text.

use serde_json::{Map, Value};

use super::{CallFormat, End, Opening, Place, Reading, WrittenCall, json_calls, unmarked};

const TOOL_CALL: Opening = Opening {
    text: "<tool_call>",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["</tool_call>"],
        // Arguments are not quoted.
        quotes: b"",
    },
    may_be: |_| true,
    read: |body, tools| match body.trim_start().starts_with(['{', '[']) {
        true => json_calls::read(body, tools),
        false => Reading::Calls {
            calls: vec![read(body).unwrap_or_else(|reason| WrittenCall::unreadable(body, reason))],
            rest: "",
        },
    },
};

fn read(body: &str) -> Result<WrittenCall, &'static str> {
    let (_, after) = body
        .split_once("<function=")
        .ok_or("it has no <function=…>")?;
    let (name, after) = after.split_once('>').ok_or("<function=…> is not closed")?;
    let parameters = after.split("</function>").next().unwrap_or_default();
    let mut arguments = Map::new();
    for parameter in parameters.split("<parameter=").skip(1) {
        let (key, text) = parameter
            .split_once('>')
            .ok_or("<parameter=…> is not closed")?;
        let text = text.split("</parameter>").next().unwrap_or_default();
        // One line break on either side belongs to the markup.
        let text = text.strip_prefix('\n').unwrap_or(text);
        let text = text.strip_suffix('\n').unwrap_or(text);
        arguments.insert(key.trim().to_owned(), value(text));
    }
    if name.trim().is_empty() {
        return Err("the name in <function=…> is empty");
    }
    let call = WrittenCall {
        id: None,
        name: name.trim().to_owned(),
        arguments: Value::Object(Map::new()),
        mistake: None,
    };
    Ok(json_calls::with_arguments(call, &Value::Object(arguments)))
}

fn value(text: &str) -> Value {
    match serde_json::from_str(text.trim()) {
        Ok(Value::String(_)) | Err(_) => Value::String(text.to_owned()),
        Ok(value) => value,
    }
}

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "qwen_xml",
    markers: &["<tool_call>", "</tool_call>"],
    openings: &[TOOL_CALL, unmarked::BLOCK],
    separators: &[],
    fits: |model| model.source.contains("<tool_call>\\n<function="),
};
