//! `{"name": …, "parameters": {…}}` as the whole answer, several with `;` between them, with or
//! without `<|python_tag|>` before them: Llama 3.1 and later. After the tag a built-in tool may also
//! be called as in Python: `brave_search.call(query="…")`.

use super::{CallFormat, End, Opening, Place, hermes, json_calls, python_calls, unmarked};

const PYTHON_TAG: Opening = Opening {
    text: "<|python_tag|>",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &[],
        quotes: b"\"",
    },
    may_be: |_| true,
    read: |body, tools| match body.trim_start().starts_with(['{', '[']) {
        true => json_calls::read(body, tools),
        false => python_calls::read(body, tools),
    },
};

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "llama",
    markers: &["<|python_tag|>"],
    openings: &[
        PYTHON_TAG,
        unmarked::OBJECT,
        unmarked::ARRAY,
        unmarked::BLOCK,
        hermes::TAGGED,
    ],
    separators: &[';', ','],
    fits: |model| {
        model.source.contains("<|python_tag|>") || model.source.contains("<|start_header_id|>")
    },
};
