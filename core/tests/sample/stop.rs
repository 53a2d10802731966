//! Stop strings, cut into pieces in every way.

use pocketlm::PocketError;
use pocketlm::sample::{StopOutcome, StopStrings};

/// Everything that comes out for `pieces`, and whether and by which string the stream was stopped.
fn run(stop: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
    let mut watcher = StopStrings::new(stop).unwrap();
    let mut out = String::new();
    for piece in pieces {
        let StopOutcome { emit, stopped } = watcher.push(piece);
        out.push_str(&emit);
        assert_eq!(stopped, watcher.matched().is_some());
    }
    out.push_str(&watcher.finish());
    (out, watcher.matched())
}

/// The same by trying every place: the stop string that ends first, the longest of those that end
/// there.
fn naive(stop: &[&str], text: &str) -> (String, Option<usize>) {
    for end in 0..=text.len() {
        let ends_here = |s: &&&str| text.as_bytes()[..end].ends_with(s.as_bytes());
        if let Some(longest) = stop.iter().filter(ends_here).max_by_key(|s| s.len()) {
            let index = stop.iter().rposition(|s| s == longest);
            return (text[..end - longest.len()].to_owned(), index);
        }
    }
    (text.to_owned(), None)
}

#[test]
fn stop_strings_end_the_stream() {
    for (stop, pieces, expected) in [
        (&["END"][..], &["some text"][..], "some text"),
        (&["END"], &["some ENDing"], "some "),
        (&["END"], &["some E", "N", "D text"], "some "),
        (&["END"], &["some E", "N"], "some EN"),
        (&["END"], &["EN", "ENEND", "x"], "ENEN"),
        (&["END"], &["END"], ""),
        (&["\n\n"], &["a\n", "b\n", "\nc"], "a\nb"),
        // The first to be complete wins, wherever it begins; at the same place the longest.
        (&["abcd", "bc"], &["xabcd"], "xa"),
        (&["bc", "abc"], &["xabc"], "x"),
        (&["abc", "x"], &["ab", "x", "c"], "ab"),
        // Half of a character never comes out.
        (&["é!"], &["caf", "é", "?"], "café?"),
        (&["é!"], &["caf", "é", "!"], "caf"),
        (&["🙂"], &["a🙃", "b🙂"], "a🙃b"),
        (&[], &["a", "b"], "ab"),
    ] {
        assert_eq!(run(stop, pieces).0, expected, "{stop:?} {pieces:?}");
    }
}

#[test]
fn no_more_is_held_back_than_may_be_a_stop_string() {
    let stop = ["aab", "ba", "aaab"];
    let text = "xaaxaxbxxaaxbxaaaab";
    let mut watcher = StopStrings::new(&stop).unwrap();
    let mut emitted = String::new();
    for end in 1..=text.len() {
        let outcome = watcher.push(&text[end - 1..end]);
        emitted.push_str(&outcome.emit);
        if outcome.stopped {
            assert_eq!(
                (emitted.as_str(), watcher.matched()),
                ("xaaxaxbxxaaxbxa", Some(2))
            );
            assert_eq!(end, text.len());
            return;
        }
        let held = &text[emitted.len()..end];
        let may_begin = |held: &str| {
            stop.iter()
                .any(|s| s.len() > held.len() && s.starts_with(held))
        };
        let longest = (0..=end)
            .find(|from| *from == end || may_begin(&text[*from..end]))
            .unwrap();
        assert_eq!(held, &text[longest..end]);
    }
    panic!("the text holds a stop string");
}

#[test]
fn the_cut_does_not_matter() {
    let mut state = 5u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for _ in 0..3000 {
        let mut word = |longest: u64| -> String {
            (0..1 + random(longest))
                .map(|_| ['a', 'b', 'é', '🙂'][random(4) as usize])
                .collect()
        };
        let stop: Vec<String> = (0..3).map(|_| word(5)).collect();
        let stop: Vec<&str> = stop.iter().map(String::as_str).collect();
        let text = word(40);
        let mut pieces: Vec<&str> = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let characters = random(4) as usize;
            let at = rest
                .char_indices()
                .nth(characters)
                .map_or(rest.len(), |(at, _)| at);
            let (piece, tail) = rest.split_at(at);
            pieces.push(piece);
            rest = tail;
        }
        assert_eq!(
            run(&stop, &pieces),
            naive(&stop, &text),
            "{stop:?} {pieces:?}"
        );
    }
}

#[test]
fn long_partial_matches_take_linear_time() {
    let stop = "a".repeat(5000) + "b";
    let mut watcher = StopStrings::new(&[&stop]).unwrap();
    let mut emitted = 0;
    for _ in 0..200_000 {
        emitted += watcher.push("a").emit.len();
    }
    assert_eq!(emitted, 195_000);
    assert!(watcher.push("b").stopped);
    assert_eq!(
        watcher.push("more"),
        StopOutcome {
            emit: String::new(),
            stopped: true
        }
    );
    assert_eq!(watcher.finish(), "");
}

#[test]
fn an_empty_stop_string_is_refused() {
    let refused = StopStrings::new(&["a", ""]);
    assert!(matches!(refused, Err(PocketError::InvalidArgument { name, .. }) if name == "stop"));
}
