//! Prepares a template's source for the engine: limits that the parser does not have, and metered
//! containers.
//!
//! The source comes out of a file from anywhere. minijinja bounds nesting while it parses, but a
//! flat chain of ten thousand operators still becomes a syntax tree ten thousand deep, which
//! overflows the stack when it is walked; so the number of tokens in one tag is bounded here. The
//! same pass replaces what the engine cannot be asked to replace:
//!
//! - a list, tuple or map literal becomes a call that builds a metered container (see
//!   `container.rs`);
//! - the value of `{% set … = … %}` goes through a filter that does the same for slices and
//!   concatenations;
//! - `{% generation %}`, a tag of Hugging Face's trainer that marks assistant text, becomes an
//!   empty `{% with %}`.
//!
//! Everything else, whitespace and line breaks included, is copied byte for byte.

/// The longest template source, in bytes. The longest known chat templates have under 20 KiB.
pub const MAX_SOURCE: usize = 128 * 1024;

/// The most tokens in one `{{ … }}` or `{% … %}`.
pub const MAX_TAG_TOKENS: usize = 1000;

/// The most `{% elif … %}` in one template: each nests in the one before. All known chat templates
/// together have fewer than 500.
pub const MAX_ELIF: usize = 1000;

/// The calls and filters that stand in the prepared source.
pub(super) const LIST: &str = "pocketlm_list";
pub(super) const TUPLE: &str = "pocketlm_tuple";
pub(super) const DICT: &str = "pocketlm_dict";
pub(super) const HOLD: &str = "pocketlm_hold";
pub(super) const BIND: &str = "pocketlm_bind";

/// Returns the source the engine compiles.
///
/// # Errors
/// A text naming the limit that is broken, or the place where the source is not Jinja.
pub(super) fn prepare(source: &str) -> Result<String, String> {
    if source.len() > MAX_SOURCE {
        return Err(format!(
            "the source has {} bytes, more than {MAX_SOURCE}",
            source.len()
        ));
    }
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source;
    let mut elifs = 0;
    while let Some((text, kind, tag)) = next_marker(rest) {
        out.push_str(text);
        let verbatim = match kind {
            b'#' => Some(comment_length(tag)?),
            _ => raw_length(tag)?,
        };
        let length = match verbatim {
            Some(length) => {
                out.push_str(&tag[..length]);
                length
            }
            None => rewrite_tag(tag, kind == b'%', &mut out)?,
        };
        elifs += usize::from(kind == b'%' && is_elif(&tag[..length]));
        if elifs > MAX_ELIF {
            return Err(format!("more than {MAX_ELIF} elif"));
        }
        rest = &tag[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The text before the next `{{`, `{%` or `{#`, which of them it is, and the source from there on.
fn next_marker(source: &str) -> Option<(&str, u8, &str)> {
    let at = source
        .as_bytes()
        .windows(2)
        .position(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))?;
    Some((&source[..at], source.as_bytes()[at + 1], &source[at..]))
}

fn comment_length(tag: &str) -> Result<usize, String> {
    let body = if has_sign(tag) { 3 } else { 2 };
    let end = tag.get(body..).and_then(|t| t.find("#}"));
    end.map(|end| body + end + 2)
        .ok_or_else(|| "a comment does not end".into())
}

/// Whether `{%`, `{{` or `{#` is followed by a whitespace control sign.
fn has_sign(tag: &str) -> bool {
    matches!(tag.as_bytes().get(2), Some(b'-' | b'+'))
}

fn is_elif(tag: &str) -> bool {
    let start = if has_sign(tag) { 3 } else { 2 };
    tag[start..].trim_ascii_start().starts_with("elif")
}

/// The length of a whole `{% raw %} … {% endraw %}`, if `tag` starts one.
fn raw_length(tag: &str) -> Result<Option<usize>, String> {
    if !tag.starts_with("{%") {
        return Ok(None);
    }
    let start = if has_sign(tag) { 3 } else { 2 };
    let Some(body) = keyword_tag(&tag[start..], "raw") else {
        return Ok(None);
    };
    let mut at = start + body;
    while let Some(open) = tag[at..].find("{%") {
        at += open + 2;
        let sign = usize::from(tag[at..].starts_with(['-', '+']));
        if let Some(end) = keyword_tag(&tag[at + sign..], "endraw") {
            return Ok(Some(at + sign + end));
        }
    }
    Err("a raw block does not end".into())
}

/// The length of `  keyword -%}` at the start of `text`.
fn keyword_tag(text: &str, keyword: &str) -> Option<usize> {
    let after = text.trim_ascii_start().strip_prefix(keyword)?;
    let after = after.trim_ascii_start();
    let after = after.strip_prefix(['-', '+']).unwrap_or(after);
    Some(text.len() - after.strip_prefix("%}")?.len())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Word,
    Literal,
    Symbol(u8),
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
    /// How many brackets are open around it; a bracket counts as outside of itself.
    depth: usize,
}

/// What a bracket means, which follows from the token before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// `f(…)`, `x[…]`: left as they are.
    Postfix,
    Group,
    List,
    Map,
}

/// Splits a tag (from its `{{` or `{%`) into tokens. Returns them, and the offset just past the
/// tag.
fn tokens(tag: &str) -> Result<(Vec<Token<'_>>, usize), String> {
    let bytes = tag.as_bytes();
    let close: &[u8] = if tag.starts_with("{%") { b"%}" } else { b"}}" };
    let mut at = if has_sign(tag) { 3 } else { 2 };
    let mut depth = 0usize;
    let mut tokens: Vec<Token> = Vec::new();
    let excerpt = || tag.chars().take(40).collect::<String>();
    loop {
        let rest = &bytes[at..];
        let Some(&first) = rest.first() else {
            return Err(format!("a tag does not end: {}", excerpt()));
        };
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if depth == 0 {
            let sign = usize::from(matches!(first, b'-' | b'+'));
            if rest[sign..].starts_with(close) {
                return Ok((tokens, at + sign + 2));
            }
        }
        if tokens.len() == MAX_TAG_TOKENS {
            return Err(format!("a tag has more than {MAX_TAG_TOKENS} tokens"));
        }
        let count = |accept: fn(&u8) -> bool| rest.iter().take_while(|b| accept(b)).count();
        let (kind, length) = match first {
            b'\'' | b'"' => match string_length(rest) {
                Some(length) => (Kind::Literal, length),
                None => return Err(format!("a string does not end: {}", excerpt())),
            },
            b'0'..=b'9' => (
                Kind::Literal,
                count(|b| b.is_ascii_alphanumeric() || *b == b'_'),
            ),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (
                Kind::Word,
                count(|b| b.is_ascii_alphanumeric() || *b == b'_'),
            ),
            b'=' | b'!' | b'<' | b'>' | b'*' | b'/' => {
                let double = matches!(
                    rest.get(..2),
                    Some(b"==" | b"!=" | b"<=" | b">=" | b"**" | b"//")
                );
                // A doubled symbol is an operator of its own; only a single `=` assigns.
                let kind = if double { b'?' } else { first };
                (Kind::Symbol(kind), if double { 2 } else { 1 })
            }
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b':' | b'.' | b'|' | b'~' | b'+'
            | b'-' | b'%' => (Kind::Symbol(first), 1),
            _ => return Err(format!("unexpected character in {}", excerpt())),
        };
        if matches!(kind, Kind::Symbol(b')' | b']' | b'}')) {
            depth = depth
                .checked_sub(1)
                .ok_or_else(|| format!("unbalanced brackets in {}", excerpt()))?;
        }
        tokens.push(Token {
            kind,
            text: &tag[at..at + length],
            start: at,
            depth,
        });
        if matches!(kind, Kind::Symbol(b'(' | b'[' | b'{')) {
            depth += 1;
        }
        at += length;
    }
}

/// The length of the string literal at the start of `bytes`, quotes included.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let (&quote, body) = bytes.split_first()?;
    let mut escaped = false;
    for (i, &b) in body.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if b == b'\\' {
            escaped = true;
        } else if b == quote {
            return Some(i + 2);
        }
    }
    None
}

/// Words after which a bracket opens a literal or a group, not a call or a subscript.
fn is_operator_word(word: &str) -> bool {
    matches!(
        word,
        "and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif" | "recursive"
    )
}

/// Writes the prepared form of one tag and returns its length in the source.
fn rewrite_tag(tag: &str, is_block: bool, out: &mut String) -> Result<usize, String> {
    let (tokens, length) = tokens(tag)?;
    let keyword = match tokens.first() {
        Some(first) if is_block => first.text,
        _ => "",
    };
    // Before each token, instead of it, and after it.
    let mut before: Vec<String> = vec![String::new(); tokens.len()];
    let mut instead: Vec<Option<String>> = vec![None; tokens.len()];
    let mut after: Vec<String> = vec![String::new(); tokens.len()];

    match keyword {
        "generation" => instead[0] = Some("with".into()),
        "endgeneration" => instead[0] = Some("endwith".into()),
        _ => {}
    }
    // The targets of a loop or an assignment look like tuples and are none.
    let at_top = |t: &Token, kind| t.depth == 0 && t.kind == kind;
    let assign = (keyword == "set")
        .then(|| tokens.iter().position(|t| at_top(t, Kind::Symbol(b'='))))
        .flatten();
    let value_from = match keyword {
        "for" => tokens
            .iter()
            .position(|t| at_top(t, Kind::Word) && t.text == "in"),
        _ => assign,
    }
    .unwrap_or(0);

    let mut open: Vec<(usize, Bracket, bool)> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let Kind::Symbol(symbol) = token.kind else {
            continue;
        };
        match symbol {
            b'(' | b'[' | b'{' => {
                let bracket = if symbol == b'{' {
                    Bracket::Map
                } else if follows_operand(&tokens, i, is_block) {
                    Bracket::Postfix
                } else if symbol == b'[' {
                    Bracket::List
                } else {
                    Bracket::Group
                };
                open.push((i, bracket, tokens.get(i + 1).is_some_and(|t| t.text == ")")));
            }
            b',' => {
                if let Some((_, _, is_tuple)) = open.last_mut() {
                    *is_tuple = true;
                }
            }
            b':' => {
                if let Some((_, Bracket::Map, _)) = open.last() {
                    instead[i] = Some(",".into());
                }
            }
            b')' | b']' | b'}' => {
                let Some((from, bracket, is_tuple)) = open.pop() else {
                    continue;
                };
                if !matches!(
                    (tokens[from].text, token.text),
                    ("(", ")") | ("[", "]") | ("{", "}")
                ) {
                    return Err(format!("unbalanced brackets: {}", tokens[from].text));
                }
                let call = match bracket {
                    Bracket::List => LIST,
                    Bracket::Map => DICT,
                    Bracket::Group if is_tuple && !is_target(&tokens, i, keyword, from) => TUPLE,
                    _ => continue,
                };
                if from >= value_from {
                    // The space keeps `not[…]` two words.
                    instead[from] = Some(format!(" {call}("));
                    instead[i] = Some(")".into());
                }
            }
            _ => {}
        }
    }

    if let Some(assign) = assign
        && assign + 1 < tokens.len()
    {
        let is_tuple = tokens[assign..]
            .iter()
            .any(|t| at_top(t, Kind::Symbol(b',')));
        let is_attribute = tokens[..assign].iter().any(|t| t.text == ".");
        let filter = if is_attribute { HOLD } else { BIND };
        before[assign + 1] = if is_tuple {
            format!("({TUPLE}(")
        } else {
            "(".into()
        };
        let close = if is_tuple { "))" } else { ")" };
        after[tokens.len() - 1] = format!("{close}|{filter}");
    }

    let mut copied = 0;
    for (i, token) in tokens.iter().enumerate() {
        out.push_str(&tag[copied..token.start]);
        out.push_str(&before[i]);
        out.push_str(instead[i].as_deref().unwrap_or(token.text));
        out.push_str(&after[i]);
        copied = token.start + token.text.len();
    }
    out.push_str(&tag[copied..length]);
    Ok(length)
}

/// Whether the bracket at `i` continues an operand (`x[0]`, `f(1)`) rather than starting one.
fn follows_operand(tokens: &[Token], i: usize, is_block: bool) -> bool {
    let Some(previous) = i.checked_sub(1) else {
        return false;
    };
    match tokens[previous].kind {
        Kind::Literal | Kind::Symbol(b')' | b']' | b'}') => true,
        Kind::Symbol(_) => false,
        Kind::Word => {
            let is_attribute = previous > 0 && tokens[previous - 1].text == ".";
            let is_keyword = is_block && previous == 0;
            is_attribute || !(is_keyword || is_operator_word(tokens[previous].text))
        }
    }
}

/// Whether the parentheses from `open` to `close` hold assignment targets or the parameters of a
/// `call` block.
fn is_target(tokens: &[Token], close: usize, keyword: &str, open: usize) -> bool {
    let assigns = tokens.get(close + 1).is_some_and(|t| t.text == "=");
    (keyword == "call" && open == 1) || (keyword == "with" && assigns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_calls_and_everything_else_stays() {
        for (source, expected) in [
            ("a {b} {{ x[0] }}\n", "a {b} {{ x[0] }}\n"),
            ("{{ [1, 2][0] }}", "{{  pocketlm_list(1, 2)[0] }}"),
            (
                "{{- {'a': x[1:], 'b': {}} -}}",
                "{{-  pocketlm_dict('a', x[1:], 'b',  pocketlm_dict()) -}}",
            ),
            (
                "{{ (1, 2) }}{{ (1) }}{{ () }}{{ f() }}",
                "{{  pocketlm_tuple(1, 2) }}{{ (1) }}{{  pocketlm_tuple() }}{{ f() }}",
            ),
            (
                "{% if not[a] and x.in[0] %}",
                "{% if not pocketlm_list(a) and x.in[0] %}",
            ),
            (
                "{%- set x = y[1:] -%}",
                "{%- set x = (y[1:])|pocketlm_bind -%}",
            ),
            (
                "{% set a, (b, c) = 1, (2, 3) %}",
                "{% set a, (b, c) = (pocketlm_tuple(1,  pocketlm_tuple(2, 3)))|pocketlm_bind %}",
            ),
            (
                "{% set ns.x = {1:2} == 3 %}",
                "{% set ns.x = ( pocketlm_dict(1,2) == 3)|pocketlm_hold %}",
            ),
            ("{% set x %}[1]{% endset %}", "{% set x %}[1]{% endset %}"),
            (
                "{% for k, (a, b) in [x] if (1, 2) %}",
                "{% for k, (a, b) in  pocketlm_list(x) if  pocketlm_tuple(1, 2) %}",
            ),
            (
                "{% call(a, b) m([1]) %}",
                "{% call(a, b) m( pocketlm_list(1)) %}",
            ),
            (
                "{% with (a, b) = (1, 2) %}",
                "{% with (a, b) =  pocketlm_tuple(1, 2) %}",
            ),
            (
                "{% macro m(a, b=[]) %}",
                "{% macro m(a, b= pocketlm_list()) %}",
            ),
            (
                "{% generation %}x{%- endgeneration -%}",
                "{% with %}x{%- endwith -%}",
            ),
            ("{# [1] #}{#- {{ -#}[1]", "{# [1] #}{#- {{ -#}[1]"),
            (
                "{% raw %}{{ [1] }}{%- endraw %}{{ '}}' }}",
                "{% raw %}{{ [1] }}{%- endraw %}{{ '}}' }}",
            ),
            (
                "{{ {'a': {'b': 1}}}}",
                "{{  pocketlm_dict('a',  pocketlm_dict('b', 1))}}",
            ),
        ] {
            assert_eq!(prepare(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_is_not_jinja_is_refused() {
        for source in [
            "{{ 'a }}",
            "{{ x",
            "{% if",
            "{# x",
            "{% raw %}",
            "{{ a) }}",
            "{{ [a) }}",
            "{{ a ? b }}",
        ] {
            assert!(prepare(source).is_err(), "{source}");
        }
        assert!(prepare(&format!("{{{{ 1{} }}}}", "+1".repeat(MAX_TAG_TOKENS))).is_err());
        assert!(prepare(&"x".repeat(MAX_SOURCE + 1)).is_err());
        assert!(prepare(&"x".repeat(MAX_SOURCE)).is_ok());
    }
}
