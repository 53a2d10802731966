//! Calls that nothing marks: models that are small, or trained on code, write the JSON of a call
//! without the tags they were asked for.

use super::{End, Opening, Place, Reading, json_calls};

/// The JSON object alone, at the beginning of the answer.
pub(super) const OBJECT: Opening = Opening {
    text: "{",
    place: Place::Start,
    end: End::Value,
    may_be: json_calls::may_be_calls,
    read: json_calls::read_unmarked,
};

/// An array of such objects.
pub(super) const ARRAY: Opening = Opening {
    text: "[",
    place: Place::Start,
    end: End::Value,
    may_be: json_calls::may_be_calls,
    read: json_calls::read_unmarked,
};

/// JSON in a Markdown block.
pub(super) const BLOCK: Opening = Opening {
    text: "```",
    place: Place::Anywhere,
    end: End::Mark {
        closers: &["```"],
        quotes: b"\"",
    },
    may_be: |block| match info_string(block) {
        Info::More(info) => LANGUAGES.iter().any(|l| l.starts_with(info)),
        Info::Is(info, body) => LANGUAGES.contains(&info) && json_calls::may_be_calls(body),
    },
    read: |block, tools| match info_string(block) {
        Info::Is(_, body) => json_calls::read_unmarked(body, tools),
        Info::More(_) => Reading::NotACall,
    },
};

/// What blocks with calls say they are.
const LANGUAGES: &[&str] = &["", "json", "tool_call"];

/// The first line of a Markdown block.
pub(super) enum Info<'a> {
    /// It may go on.
    More(&'a str),
    /// The line, and what follows.
    Is(&'a str, &'a str),
}

/// Reads the text after the three backticks.
pub(super) fn info_string(block: &str) -> Info<'_> {
    match block.split_once('\n') {
        Some((info, body)) => Info::Is(info.trim(), body),
        None => Info::More(block),
    }
}
