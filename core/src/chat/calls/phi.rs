//! `<|tool_call|>[{"name": …, "arguments": {…}}]<|/tool_call|>` (Phi 4 mini; Granite 3 without the
//! end) and `functools[{…}]`.

use super::{CallFormat, End, Opening, Place, hermes, json_calls, unmarked};

const TOOL_CALL: Opening = Opening {
    text: "<|tool_call|>",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["<|/tool_call|>"],
        quotes: b"\"",
    },
    may_be: |_| true,
    read: json_calls::read,
};

const FUNCTOOLS: Opening = Opening {
    text: "functools[",
    place: Place::Anywhere,
    end: End::Value,
    may_be: |_| true,
    read: json_calls::read,
};

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "phi",
    markers: &["<|tool_call|>", "<|/tool_call|>"],
    openings: &[TOOL_CALL, FUNCTOOLS, unmarked::BLOCK, hermes::TAGGED],
    separators: &[],
    fits: |model| {
        let named = [TOOL_CALL.text, "<|tool|>", "functools"];
        named.iter().any(|text| model.source.contains(text)) || model.has_token(TOOL_CALL.text)
    },
};
