//! Where a call ends: marks outside of strings, brackets that match.

/// Where a mark stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'m> {
    /// Outside of strings: where it starts, and which it is.
    At(usize, &'m str),
    Nowhere,
    /// Nowhere, and the text ends inside a string.
    InString,
}

/// The first of `marks` in `text` that is not inside a string. A backslash in a string takes the
/// next byte's meaning away.
pub(super) fn find_unquoted<'m>(
    text: &str,
    marks: impl Iterator<Item = &'m str> + Clone,
    quotes: &[u8],
) -> Found<'m> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match quote {
            Some(_) if byte == b'\\' => i += 1,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => {
                let found = marks.clone().find(|m| bytes[i..].starts_with(m.as_bytes()));
                if let Some(mark) = found {
                    return Found::At(i, mark);
                }
                quote = quotes.contains(&byte).then_some(byte);
            }
        }
        i += 1;
    }
    match quote {
        Some(_) => Found::InString,
        None => Found::Nowhere,
    }
}

/// The first of `marks` in `text`, wherever it stands.
pub(super) fn find_anywhere<'m>(
    text: &str,
    marks: impl Iterator<Item = &'m str>,
) -> Option<(usize, &'m str)> {
    let found = marks.filter_map(|mark| Some((text.find(mark)?, mark)));
    found.min_by_key(|&(at, _)| at)
}

/// The bytes of the JSON object or array that `text` starts with, when it is complete: up to the
/// bracket that closes the first. Whether it is JSON is another question.
pub(super) fn value_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((i, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(i + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hide_what_is_in_them() {
        let find = |text: &str| find_unquoted(text, ["</c>"].into_iter(), b"\"");
        assert_eq!(find(r#"{"a": "</c>"}</c>"#), Found::At(13, "</c>"));
        assert_eq!(find(r#"{"a": "\"</c>"}</c>"#), Found::At(15, "</c>"));
        assert_eq!(find(r#"{"a": "</c>"#), Found::InString);
        assert_eq!(find(r#"{"a": "</c>"}"#), Found::Nowhere);
        assert_eq!(value_end(r#"{"a": "}", "b": [{}]} tail"#), Some(21));
        assert_eq!(value_end(r#"["\"]"#), None);
        assert_eq!(value_end("[[1]"), None);
        let found = find_anywhere("a b c", ["c", "b"].into_iter());
        assert_eq!(found, Some((2, "b")));
    }
}
