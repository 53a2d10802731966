//! From an output format to a matcher, within limits.

use std::thread;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::locate;
use super::schema::{self, Prepared};
use super::{OutputFormat, first_line, internal};
use crate::error::{PocketError, Result};

/// Sets of tokens whose masks are computed once: most of a vocabulary may follow inside a JSON
/// string, and is then allowed or refused as a whole. Each costs a trie of its own (see the
/// measurements in `docs/structured-output.md`).
pub(super) const SLICES: &[&str] = &[r#"[^"\\\x00-\x1F\x7F]{1,10}"#, r#"[^"\\\x00-\x1F\x7F]+"#];

/// The longest expression or grammar, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Stack of the thread that compiles. The engine recurses along the nesting of a schema, its
/// references and its properties; [`schema`] bounds all three, and the tests walk along the bounds.
const STACK: usize = 64 << 20;

/// What a grammar may cost.
pub(super) fn limits() -> ParserLimits {
    ParserLimits {
        // A state takes 1 to 2 KB.
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

/// The matcher of a format.
///
/// # Errors
/// As [`Grammars::compile`](super::Grammars::compile).
pub(super) fn compile(factory: &ParserFactory, format: &OutputFormat) -> Result<Matcher> {
    match format {
        OutputFormat::Json => {
            let engine = |schema| on_big_stack(|| build_schema(factory, schema));
            engine(&schema::anything())?.map_err(|reason| internal(&reason))
        }
        OutputFormat::JsonSchema(schema) => from_schema(factory, schema),
        OutputFormat::Regex(expression) => {
            let refuse = |reason: String| PocketError::invalid("regex", reason);
            let expression = whole(check_text(expression).map_err(refuse)?);
            // The engine reads expressions inside a grammar, where a fault of one is hard to see.
            regex_syntax::parse(expression).map_err(|e| refuse(regex_fault(&e)))?;
            let grammar = TopLevelGrammar::from_regex(expression);
            on_big_stack(|| build(factory, grammar))?.map_err(refuse)
        }
        OutputFormat::Lark(text) => {
            let refuse = |reason: String| PocketError::invalid("lark", reason);
            let text = check_text(text).map_err(refuse)?;
            let grammar = TopLevelGrammar::from_lark(text.to_owned());
            on_big_stack(|| build(factory, grammar))?.map_err(refuse)
        }
    }
}

fn from_schema(factory: &ParserFactory, schema: &Value) -> Result<Matcher> {
    let Prepared { schema, places } = schema::prepare(schema)?;
    let outcome = on_big_stack(|| {
        build_schema(factory, &schema).map_err(|reason| {
            let compiles = |part: &Value| build_schema(factory, part).map(drop);
            let path = locate::fault(&schema, &places, &reason, compiles);
            (path, reason)
        })
    })?;
    outcome.map_err(|(path, reason)| {
        tracing::debug!(path, reason, "schema refused");
        PocketError::SchemaUnsupported { path }
    })
}

/// Compiles a schema. The engine's options travel inside of it: one line with the separators of
/// Python's `json.dumps`, so that all between two values is forced, and no `\u` escapes, with
/// which a name could be spelled in a second way.
fn build_schema(factory: &ParserFactory, schema: &Value) -> std::result::Result<Matcher, String> {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        let options = json!({
            "item_separator": ", ",
            "key_separator": ": ",
            "whitespace_flexible": false,
            "json_allowed_escapes": "nrbtf\\\"",
        });
        object.insert("x-guidance".into(), options);
    }
    build(factory, TopLevelGrammar::from_json_schema(schema))
}

fn build(
    factory: &ParserFactory,
    grammar: TopLevelGrammar,
) -> std::result::Result<Matcher, String> {
    let parser = factory.create_parser(grammar).map_err(|e| {
        let text = format!("{e:#}");
        first_line(&text).to_owned()
    })?;
    if parser
        .parser
        .grammar()
        .lexer_spec()
        .special_token_rx
        .is_some()
    {
        return Err("tokens by number or name (`<[…]>`, `<|…|>`) are not text".into());
    }
    Ok(Matcher::new(Ok(parser)))
}

/// Runs `work` with room for recursion.
fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("pocketlm-grammar".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| internal(&format!("no thread: {error}")))?;
        thread.join().map_err(|_| internal("panic"))
    })
}

fn check_text(text: &str) -> std::result::Result<&str, String> {
    match text.len() {
        0 => Err("it is empty".into()),
        n if n > MAX_TEXT => Err(format!("{n} bytes, the most is {MAX_TEXT}")),
        _ => Ok(text),
    }
}

/// An expression without the anchors at its ends: it matches the whole answer anyway, and the
/// engine knows no anchors.
fn whole(expression: &str) -> &str {
    let expression = expression.strip_prefix('^').unwrap_or(expression);
    match expression.strip_suffix('$') {
        Some(rest) if (rest.len() - rest.trim_end_matches('\\').len()) % 2 == 0 => rest,
        _ => expression,
    }
}

/// The last line of the parser's message says what is wrong; the ones before draw where.
fn regex_fault(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
