//! From token ids to events: characters, stop strings, thinking.

use crate::error::Result;
use crate::sample::StopStrings;
use crate::tokenizer::Detokenizer;

use super::event::{Event, FinishReason};
use super::model::LocalModel;
use super::options::GenerateOptions;
use super::reasoning::{Piece, Splitter};

/// The text of one answer, told as it comes.
pub struct Output<'a> {
    detokenizer: Detokenizer,
    stops: StopStrings,
    splitter: Splitter,
    text: String,
    reasoning: String,
    emit: &'a mut dyn FnMut(Event),
}

impl<'a> Output<'a> {
    /// Nothing yet; `opens_thinking` when the prompt ends inside the model's thinking.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`](crate::PocketError::InvalidArgument) for a stop string.
    pub fn new(
        model: &LocalModel,
        opens_thinking: bool,
        options: &GenerateOptions,
        emit: &'a mut dyn FnMut(Event),
    ) -> Result<Self> {
        Ok(Self {
            detokenizer: model.tokenizer().continuing_detokenizer(),
            stops: StopStrings::new(&options.stop)?,
            splitter: Splitter::new(opens_thinking),
            text: String::new(),
            reasoning: String::new(),
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
            Piece::Text(text) => {
                self.text.push_str(&text);
                (self.emit)(Event::Text(text));
            }
            Piece::Reasoning(text) => {
                self.reasoning.push_str(&text);
                (self.emit)(Event::Reasoning(text));
            }
        }
    }

    /// Lets go of what was held back. The whole text, and the whole thinking.
    pub fn end(mut self, finish: FinishReason) -> (String, String) {
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
        (self.text, self.reasoning)
    }
}
