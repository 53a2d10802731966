//! What happens when a conversation outgrows the context window.

use crate::chat::{Message, Role};
use crate::error::Result;

/// What happens when a conversation outgrows the context window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextPolicy {
    /// The turn is refused with [`crate::PocketError::ContextExceeded`], and nothing changes.
    #[default]
    Error,
    /// The oldest turns are no longer sent to the model; the system message and the newest turns
    /// are. The transcript keeps all of them. [`crate::Notice::TurnsDropped`] tells of it.
    KeepNewest,
}

/// Where each turn begins: at the messages of the user.
pub(super) fn turns(transcript: &[Message]) -> Vec<usize> {
    let users = transcript.iter().enumerate();
    let users = users.filter(|(_, message)| message.role == Role::User);
    users.map(|(at, _)| at).collect()
}

/// The messages that are sent when the first `unsent` turns are not: what comes before the first
/// turn, and the later turns.
pub(super) fn sent(transcript: &[Message], unsent: usize) -> Vec<Message> {
    let turns = turns(transcript);
    let first = turns.first().copied().unwrap_or(transcript.len());
    let from = turns.get(unsent).copied().unwrap_or(first);
    let mut messages = transcript[..first].to_vec();
    messages.extend_from_slice(&transcript[from..]);
    messages
}

/// Room that is left for an answer, in tokens.
pub(super) fn room(capacity: usize, max_tokens: Option<usize>) -> usize {
    max_tokens
        .unwrap_or(capacity / 4)
        .clamp(1, capacity.div_ceil(2))
}

/// Finds how many turns not to send, at least `unsent`, and the prompt of the rest.
///
/// Dropping a turn changes the prompt's beginning, so all of it has to be computed again: once that
/// is needed, turns go until half of the window is free, and many turns fit before the next time.
///
/// # Errors
/// Those of `render`.
pub(super) fn fit<P>(
    policy: ContextPolicy,
    transcript: &[Message],
    unsent: usize,
    capacity: usize,
    max_tokens: Option<usize>,
    render: impl Fn(&[Message]) -> Result<(P, usize)>,
) -> Result<(P, usize)> {
    let (mut prompt, mut tokens) = render(&sent(transcript, unsent))?;
    let window = capacity.saturating_sub(room(capacity, max_tokens));
    let mut dropped = unsent;
    if policy == ContextPolicy::KeepNewest && tokens > window {
        let turns = turns(transcript).len();
        while tokens > window / 2 && dropped + 1 < turns {
            dropped += 1;
            (prompt, tokens) = render(&sent(transcript, dropped))?;
        }
    }
    Ok((prompt, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system message and `n` turns.
    fn conversation(n: usize) -> Vec<Message> {
        let mut all = vec![Message::system("s")];
        for i in 0..n {
            all.push(Message::user(format!("u{i}")));
            all.push(Message::assistant(format!("a{i}")));
        }
        all
    }

    /// Ten tokens a message.
    fn render(messages: &[Message]) -> Result<(Vec<String>, usize)> {
        let texts = messages.iter().map(|m| m.content.clone()).collect();
        Ok((texts, 10 * messages.len()))
    }

    fn fitted(policy: ContextPolicy, turns: usize, unsent: usize) -> (Vec<String>, usize) {
        fit(policy, &conversation(turns), unsent, 200, Some(50), render).expect("renders")
    }

    #[test]
    fn the_system_message_and_the_newest_turns_stay() {
        let (texts, dropped) = fitted(ContextPolicy::KeepNewest, 8, 0);
        // 170 tokens of 150: down to 75, that is 7 messages.
        assert_eq!(dropped, 5);
        assert_eq!(texts, ["s", "u5", "a5", "u6", "a6", "u7", "a7"]);
    }

    #[test]
    fn what_fits_is_left_alone_and_what_was_dropped_stays_dropped() {
        assert_eq!(fitted(ContextPolicy::KeepNewest, 7, 0).1, 0);
        assert_eq!(fitted(ContextPolicy::KeepNewest, 9, 5).1, 5);
        assert_eq!(fitted(ContextPolicy::Error, 8, 0).1, 0);
    }

    #[test]
    fn the_newest_turn_is_never_dropped() {
        let long = |_: &[Message]| Ok(((), 1000));
        let (_, dropped) = fit(
            ContextPolicy::KeepNewest,
            &conversation(4),
            0,
            200,
            None,
            long,
        )
        .expect("renders");
        assert_eq!(dropped, 3);
    }
}
