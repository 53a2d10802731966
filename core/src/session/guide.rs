//! The output format of an answer: it holds from where the model's thinking ends.

use crate::constrain::Constraint;
use crate::error::Result;

use super::model::LocalModel;
use super::options::GenerateOptions;

/// What holds an answer to its format; nothing where the caller wants none.
///
/// Every call says whether the model is thinking: a thought may have any form.
#[derive(Clone, Debug)]
pub struct Guide {
    constraint: Option<Constraint>,
}

impl Guide {
    /// The guide of a new answer.
    ///
    /// # Errors
    /// As [`Grammars::compile`](crate::constrain::Grammars::compile).
    pub fn new(model: &LocalModel, options: &GenerateOptions) -> Result<Self> {
        let constraint = match &options.format {
            Some(format) => Some(model.grammars()?.compile(format)?),
            None => None,
        };
        Ok(Self { constraint })
    }

    fn active(&mut self, thinking: bool) -> Option<&mut Constraint> {
        self.constraint.as_mut().filter(|_| !thinking)
    }

    /// The tokens that must come next and need no logits.
    ///
    /// # Errors
    /// As [`Constraint::forced`].
    pub fn forced(&mut self, thinking: bool) -> Result<Vec<u32>> {
        match self.active(thinking) {
            Some(constraint) => constraint.forced(),
            None => Ok(Vec::new()),
        }
    }

    /// Takes tokens that the format does not allow out of `logits`, one for each token.
    ///
    /// # Errors
    /// As [`Constraint::mask`].
    pub fn mask(&mut self, logits: &mut [f32], thinking: bool) -> Result<()> {
        match self.active(thinking) {
            Some(constraint) => constraint.mask(logits),
            None => Ok(()),
        }
    }

    /// How many of `ids`, from the first on, may come next one after the other.
    ///
    /// # Errors
    /// As [`Constraint::allows`].
    pub fn allows(&mut self, ids: &[u32], thinking: bool) -> Result<usize> {
        match self.active(thinking) {
            Some(constraint) => constraint.allows(ids),
            None => Ok(ids.len()),
        }
    }

    /// Takes a token of the answer, chosen while `thinking` or not; whether it completes the
    /// format, so that nothing can follow.
    ///
    /// # Errors
    /// As [`Constraint::accept`].
    pub fn accept(&mut self, id: u32, thinking: bool) -> Result<bool> {
        match self.active(thinking) {
            Some(constraint) => {
                constraint.accept(id)?;
                Ok(constraint.must_stop())
            }
            None => Ok(false),
        }
    }
}
