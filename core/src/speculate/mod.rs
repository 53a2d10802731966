//! Lossless speculation: several tokens are guessed, and one pass over the weights checks them all.
//!
//! ```text
//! text so far ─→ Drafter ─→ guesses ─→ one forward pass ─→ at each position the token is chosen as
//!                              ↑                            ever; a guess is kept while it equals it
//!                           Pace: how many pay
//! ```
//!
//! A guess never changes what is chosen (Leviathan et al., 2023, in the special case of guesses
//! that are certain): tokens are drawn from the model's own logits, in order, with the same random
//! numbers. A pass gives a position the same bits whether it is computed alone or with others, so
//! the text is the same as without speculation: greedy or sampled.

mod lookup;
mod pace;

pub use lookup::Lookup;
pub use pace::Pace;

use crate::error::Result;

/// The most tokens guessed at once.
pub const MOST: usize = 31;

/// Guesses for one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The tokens guessed to come next, [`MOST`] at most.
    pub ids: Vec<u32>,
    /// How sure the drafter is, as one of its classes.
    pub class: usize,
}

/// Guesses the next tokens of a text. One for each answer: it is told every token.
pub trait Drafter {
    /// Tokens that became part of the text, in order.
    fn accept(&mut self, ids: &[u32]);

    /// Guesses what follows. How many of the guesses are worth checking `worth` tells for each
    /// class: the drafter offers no more.
    ///
    /// # Errors
    /// Those of a model that guesses.
    fn draft(&mut self, worth: &dyn Fn(usize) -> usize) -> Result<Draft>;
}
