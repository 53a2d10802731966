//! `[TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}, …]`, and from 2025 on
//! `[TOOL_CALLS]name[ARGS]{…}` for each call, with `[CALL_ID]…` between the two at times.

use serde_json::{Map, Value};

use super::{CallFormat, End, Opening, Place, Reading, WrittenCall, hermes, json_calls, unmarked};

const ARGS: &str = "[ARGS]";
const CALL_ID: &str = "[CALL_ID]";

const TOOL_CALLS: Opening = Opening {
    text: "[TOOL_CALLS]",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &[],
        quotes: b"\"",
    },
    may_be: |_| true,
    read: |body, tools| match body.trim_start().starts_with(['{', '[']) {
        true => json_calls::read(body, tools),
        false => read_named(body),
    },
};

/// `name[CALL_ID]id[ARGS]{…}`; some models leave the last mark out.
fn read_named(body: &str) -> Reading<'_> {
    let head = match body.find(ARGS) {
        Some(at) => at,
        None => body.find('{').unwrap_or(body.len()),
    };
    let (head, arguments) = body.split_at(head);
    let arguments = arguments
        .strip_prefix(ARGS)
        .unwrap_or(arguments)
        .trim_start();
    let (name, id) = match head.split_once(CALL_ID) {
        Some((name, id)) => (name.trim(), Some(id.trim().to_owned())),
        None => (head.trim(), None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        let call = WrittenCall::unreadable(body, "it has no name before [ARGS]");
        return Reading::Calls {
            calls: vec![call],
            rest: "",
        };
    }
    let call = WrittenCall {
        id,
        name: name.to_owned(),
        arguments: Value::Object(Map::new()),
        mistake: None,
    };
    let mut values = serde_json::Deserializer::from_str(arguments).into_iter::<Value>();
    let (call, rest) = match values.next() {
        None => (call, ""),
        Some(Ok(value)) => {
            let rest = arguments.get(values.byte_offset()..).unwrap_or_default();
            (json_calls::with_arguments(call, &value), rest.trim_start())
        }
        Some(Err(error)) => {
            let call = WrittenCall {
                arguments: Value::String(arguments.trim_end().to_owned()),
                mistake: Some(format!("the arguments: {error}")),
                ..call
            };
            (call, "")
        }
    };
    Reading::Calls {
        calls: vec![call],
        rest,
    }
}

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "mistral",
    markers: &["[TOOL_CALLS]", ARGS, CALL_ID],
    openings: &[TOOL_CALLS, unmarked::BLOCK, hermes::TAGGED],
    separators: &[],
    fits: |model| {
        let instructed = model.source.contains("[INST]");
        model.source.contains(TOOL_CALLS.text) || instructed && model.has_token(TOOL_CALLS.text)
    },
};
