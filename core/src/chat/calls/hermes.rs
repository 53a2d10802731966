//! `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, one element for each call: Hermes 2 Pro,
//! Qwen 2.5 and 3, Granite 4. It is also what models are asked for whose template lists no tools.

use super::{CallFormat, End, Opening, Place, json_calls, unmarked};

/// The element.
pub(super) const TAGGED: Opening = Opening {
    text: "<tool_call>",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["</tool_call>"],
        quotes: b"\"",
    },
    may_be: |_| true,
    read: json_calls::read,
};

/// What Qwen's coders put around a call at times: the element in which the prompt lists the tools.
const LISTED: Opening = Opening {
    text: "<tools>",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["</tools>"],
        quotes: b"\"",
    },
    may_be: json_calls::may_be_calls,
    read: json_calls::read_unmarked,
};

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "hermes",
    markers: &["<tool_call>", "</tool_call>"],
    openings: &[TAGGED, LISTED, unmarked::OBJECT, unmarked::BLOCK],
    separators: &[],
    fits: |_| true,
};
