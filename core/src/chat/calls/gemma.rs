//! Gemma 2 and 3, whose templates know no tools. Asked for JSON they write it in a Markdown block;
//! left to themselves, Python in a block called `tool_code`.

use super::unmarked::{Info, info_string};
use super::{CallFormat, End, Opening, Place, Reading, hermes, json_calls, python_calls, unmarked};

const BLOCK: Opening = Opening {
    text: "```",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["```"],
        quotes: b"\"'",
    },
    may_be: |block| match info_string(block) {
        Info::More(info) => PYTHON.starts_with(info) || (unmarked::BLOCK.may_be)(block),
        Info::Is(PYTHON, _) => true,
        Info::Is(..) => (unmarked::BLOCK.may_be)(block),
    },
    read: |block, tools| match info_string(block) {
        Info::Is(PYTHON, body) if body.trim_start().starts_with('{') => {
            json_calls::read(body, tools)
        }
        Info::Is(PYTHON, body) => python_calls::read(body, tools),
        Info::Is(..) => (unmarked::BLOCK.read)(block, tools),
        Info::More(_) => Reading::NotACall,
    },
};

/// What a block with Python calls says it is.
const PYTHON: &str = "tool_code";

pub(super) const FORMAT: CallFormat = CallFormat {
    name: "gemma",
    markers: &[],
    openings: &[BLOCK, unmarked::OBJECT, hermes::TAGGED],
    separators: &[],
    fits: |model| model.source.contains("<start_of_turn>"),
};
