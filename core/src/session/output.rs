//! From token ids to events: characters, stop strings, thinking, calls of tools.

use crate::chat::{CallParser, CallPiece, WrittenCall};
use crate::error::Result;
use crate::sample::StopStrings;
use crate::tokenizer::Detokenizer;

use super::event::{Event, FinishReason};
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::reasoning::{Piece, Splitter, TAGS};
use super::tools::ToolSet;

/// All of an answer.
#[derive(Debug, Default)]
pub struct Said {
    /// The answer.
    pub text: String,
    /// The thinking before it.
    pub reasoning: String,
    /// The calls in it.
    pub calls: Vec<WrittenCall>,
}

/// The text of one answer, told as it comes.
pub struct Output<'a> {
    detokenizer: Detokenizer,
    stops: StopStrings,
    splitter: Splitter,
    parser: Option<CallParser>,
    said: Said,
    emit: &'a mut dyn FnMut(Event),
}

impl<'a> Output<'a> {
    /// Nothing yet; `opens_thinking` when the prompt ends inside the model's thinking.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`](crate::PocketError::InvalidArgument) for a stop string.
    pub fn new(
        model: &LocalModel,
        tools: &ToolSet,
        opens_thinking: bool,
        options: &GenerateOptions,
        emit: &'a mut dyn FnMut(Event),
    ) -> Result<Self> {
        let mut detokenizer = model.tokenizer().continuing_detokenizer();
        detokenizer.show(TAGS.iter().copied());
        let parser = tools.parser().map(|(parser, markers)| {
            detokenizer.show(markers.iter().copied());
            parser
        });
        Ok(Self {
            detokenizer,
            stops: StopStrings::new(&options.stop)?,
            splitter: Splitter::new(opens_thinking),
            parser,
            said: Said::default(),
            emit,
        })
    }

    /// Whether the model is thinking, so that what comes next is no part of the answer.
    pub fn is_thinking(&self) -> bool {
        self.splitter.is_thinking()
    }

    /// Takes one token; whether a stop string was completed.
    pub fn push(&mut self, id: u32) -> bool {
        let delta = self.detokenizer.push(id);
        self.pass_on(&delta)
    }

    fn pass_on(&mut self, delta: &str) -> bool {
        let outcome = self.stops.push(delta);
        for piece in self.splitter.push(&outcome.emit) {
            self.tell(piece);
        }
        outcome.stopped
    }

    fn tell(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => match &mut self.parser {
                Some(parser) => {
                    let pieces = parser.push(&text);
                    self.tell_all(pieces);
                }
                None => self.say(text),
            },
            Piece::Reasoning(text) => {
                self.said.reasoning.push_str(&text);
                (self.emit)(Event::Reasoning(text));
            }
        }
    }

    fn tell_all(&mut self, pieces: Vec<CallPiece>) {
        for piece in pieces {
            match piece {
                CallPiece::Text(text) => self.say(text),
                CallPiece::Call(call) => self.said.calls.push(call),
            }
        }
    }

    fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.said.text.push_str(&text);
            (self.emit)(Event::Text(text));
        }
    }

    /// Lets go of what was held back.
    pub fn end(mut self, finish: FinishReason) -> Said {
        if finish != FinishReason::StopString {
            let tail = self.detokenizer.finish();
            if !self.pass_on(&tail) {
                let held = self.stops.finish();
                for piece in self.splitter.push(&held) {
                    self.tell(piece);
                }
            }
        }
        if let Some(piece) = self.splitter.finish() {
            self.tell(piece);
        }
        if let Some(mut parser) = self.parser.take() {
            match finish {
                FinishReason::EndOfTurn | FinishReason::StopString => {
                    let pieces = parser.finish();
                    self.tell_all(pieces);
                }
                // A call that was cut in two is not made.
                _ => self.say(parser.cut_off()),
            }
        }
        self.said
    }
}
