//! Tells a model's thinking from its answer: `<think>…</think>` at the beginning of a turn
//! (Qwen 3, DeepSeek R1 and others).

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The tags, which some vocabularies have as control tokens.
pub const TAGS: &[&str] = &[OPEN, CLOSE];

/// What ends the thinking of a model that does not end it itself, as models write it, and what they
/// put between thinking and answer.
pub const FORCED_CLOSE: &str = "\n</think>";
/// See [`FORCED_CLOSE`].
pub const GAP: &str = "\n\n";

/// A piece of output, told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Part of the answer.
    Text(String),
    /// Part of the thinking.
    Reasoning(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far: thinking may still begin.
    Start,
    Thinking,
    /// Between the thinking and the answer, where models put blank lines.
    Gap,
    Answer,
}

/// Splits a stream of text into thinking and answer, across any borders of the pieces.
pub struct Splitter {
    state: State,
    /// Text that may be the beginning of a tag.
    held: String,
}

impl Splitter {
    /// A splitter for one turn; `thinking` when the prompt itself ends with an open tag.
    pub fn new(thinking: bool) -> Self {
        Self {
            state: if thinking {
                State::Thinking
            } else {
                State::Start
            },
            held: String::new(),
        }
    }

    /// Whether a rendered prompt leaves the model inside its thinking.
    pub fn prompt_opens(prompt: &str) -> bool {
        prompt.trim_end().ends_with(OPEN)
    }

    /// Whether the text so far ends inside the thinking.
    pub fn is_thinking(&self) -> bool {
        self.state == State::Thinking
    }

    /// What can be told of the text so far after `delta`.
    pub fn push(&mut self, delta: &str) -> Vec<Piece> {
        self.held.push_str(delta);
        let mut out = Vec::new();
        loop {
            match self.state {
                State::Start => {
                    let text = self.held.trim_start();
                    if text.len() < OPEN.len() && OPEN.starts_with(text) {
                        return out;
                    }
                    if let Some(rest) = text.strip_prefix(OPEN) {
                        self.held = rest.to_owned();
                        self.state = State::Thinking;
                    } else {
                        self.state = State::Answer;
                    }
                }
                State::Thinking => {
                    if let Some(at) = self.held.find(CLOSE) {
                        let rest = self.held.split_off(at + CLOSE.len());
                        self.held.truncate(at);
                        push(
                            &mut out,
                            Piece::Reasoning,
                            std::mem::replace(&mut self.held, rest),
                        );
                        self.state = State::Gap;
                    } else {
                        let keep = partial(&self.held, CLOSE);
                        let tail = self.held.split_off(self.held.len() - keep);
                        push(
                            &mut out,
                            Piece::Reasoning,
                            std::mem::replace(&mut self.held, tail),
                        );
                        return out;
                    }
                }
                State::Gap => {
                    let text = self.held.trim_start();
                    if text.is_empty() {
                        return out;
                    }
                    self.held = text.to_owned();
                    self.state = State::Answer;
                }
                State::Answer => {
                    push(&mut out, Piece::Text, std::mem::take(&mut self.held));
                    return out;
                }
            }
        }
    }

    /// What was held back when the output ends.
    pub fn finish(&mut self) -> Option<Piece> {
        let held = std::mem::take(&mut self.held);
        match self.state {
            _ if held.is_empty() => None,
            State::Thinking => Some(Piece::Reasoning(held)),
            State::Gap => None,
            State::Start | State::Answer => Some(Piece::Text(held)),
        }
    }
}

fn push(out: &mut Vec<Piece>, piece: fn(String) -> Piece, text: String) {
    if !text.is_empty() {
        out.push(piece(text));
    }
}

/// Bytes at the end of `text` that are a beginning of `tag`.
fn partial(text: &str, tag: &str) -> usize {
    let longest = tag.len().min(text.len() + 1) - 1;
    (1..=longest)
        .rev()
        .find(|n| text.as_bytes().ends_with(&tag.as_bytes()[..*n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str], thinking: bool) -> (String, String) {
        let mut splitter = Splitter::new(thinking);
        let (mut reasoning, mut text) = (String::new(), String::new());
        let mut all: Vec<Piece> = pieces.iter().flat_map(|p| splitter.push(p)).collect();
        all.extend(splitter.finish());
        for piece in all {
            match piece {
                Piece::Text(t) => text += &t,
                Piece::Reasoning(r) => reasoning += &r,
            }
        }
        (reasoning, text)
    }

    #[test]
    fn the_same_split_at_every_border() {
        for (whole, thinking, reasoning, text) in [
            (
                "\n<think>a < b</thin</think>\n\nThe answer",
                false,
                "a < b</thin",
                "The answer",
            ),
            ("so</think>é", true, "so", "é"),
            (
                "plain <think>not thinking</think>",
                false,
                "",
                "plain <think>not thinking</think>",
            ),
            ("  <thin", false, "", "  <thin"),
            ("never closed </", true, "never closed </", ""),
            ("", false, "", ""),
        ] {
            let chars: Vec<String> = whole.chars().map(String::from).collect();
            let chars: Vec<&str> = chars.iter().map(String::as_str).collect();
            let expected = (reasoning.to_owned(), text.to_owned());
            assert_eq!(split(&[whole], thinking), expected, "{whole:?} whole");
            assert_eq!(split(&chars, thinking), expected, "{whole:?} by characters");
        }
    }
}
