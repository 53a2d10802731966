//! Suggestions while somebody types: each keystroke stops the completion before it and computes
//! only what it changed.
//!
//! ```sh
//! cargo run --example type_ahead -- qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
//! ```

use std::time::{Duration, Instant};

use pocketlm::{Event, GenerateOptions, LoadOptions, LocalModel, PocketError};

/// What is typed, letter by letter, and what stands after the cursor.
const TYPED: &str = "def fibonacci(n):\n    if n < 2:\n        return n\n    return fib";
const AFTER: &str = "\n\nprint(fibonacci(10))\n";

/// The pause after which a suggestion is wanted.
const PAUSE: Duration = Duration::from_millis(30);

fn main() -> Result<(), PocketError> {
    let path = std::env::args()
        .nth(1)
        .ok_or_else(|| PocketError::InvalidArgument {
            name: "model".into(),
            reason: "give the path of a GGUF file".into(),
        })?;
    let model = LocalModel::load(path, LoadOptions::default())?;
    model.prewarm()?;
    let completer = model.completer()?;
    let options = GenerateOptions {
        stop: vec!["\n".into()],
        ..GenerateOptions::greedy().with_max_tokens(24)
    };

    for end in 0..=TYPED.len() {
        let before = &TYPED[..end];
        let start = Instant::now();
        // Taking a new completion ends the one before: an app does no more than this at each key.
        let stream = completer.complete(before, AFTER, &options)?;
        if end < TYPED.len() && !before.ends_with(' ') {
            // The next key comes before anybody looks at a suggestion.
            std::thread::sleep(PAUSE);
            continue;
        }
        let (mut suggestion, mut first) = (String::new(), None);
        for event in stream {
            match event? {
                Event::Text(text) => {
                    first.get_or_insert_with(|| start.elapsed());
                    suggestion.push_str(&text);
                }
                Event::Done { usage, .. } => {
                    let line = before.lines().last().unwrap_or_default();
                    println!(
                        "{line}[{suggestion}]  ({} of {} tokens cached, {:.0?})",
                        usage.cached_tokens,
                        usage.prompt_tokens,
                        first.unwrap_or_default(),
                    );
                }
                _ => {}
            }
        }
    }
    Ok(())
}
