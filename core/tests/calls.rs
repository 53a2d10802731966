//! Tool calls as models write them: every format, at every border of the pieces.

mod arguments;
mod examples;

use pocketlm::chat::{CALL_FORMATS, CallFormat, CallParser, CallPiece, ChatTemplate, WrittenCall};

use examples::EXAMPLES;

fn parser(format: &str) -> CallParser {
    let format = CallFormat::named(format).expect("a row of the table");
    CallParser::new(format, ["clock", "weather"].map(String::from))
}

/// Text and calls, with the pieces of text joined.
fn collect(pieces: impl IntoIterator<Item = CallPiece>) -> (String, Vec<WrittenCall>) {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for piece in pieces {
        match piece {
            CallPiece::Text(t) => text.push_str(&t),
            CallPiece::Call(call) => calls.push(call),
        }
    }
    (text, calls)
}

fn parse<'a>(
    format: &str,
    deltas: impl IntoIterator<Item = &'a str>,
) -> (String, Vec<WrittenCall>) {
    let mut parser = parser(format);
    let mut pieces = Vec::new();
    for delta in deltas {
        pieces.extend(parser.push(delta));
    }
    pieces.extend(parser.finish());
    collect(pieces)
}

/// Whether `call` is what an example says.
fn is(call: &WrittenCall, expected: &str) -> bool {
    match (&call.mistake, expected.split_once(" !")) {
        (Some(mistake), Some((name, part))) => {
            call.name == name && mistake.contains(part) && call.arguments.is_string()
        }
        (None, None) => {
            let id = call
                .id
                .iter()
                .map(|id| format!(" {id}"))
                .collect::<String>();
            format!("{} {}{id}", call.name, call.arguments) == expected
        }
        _ => false,
    }
}

fn chars(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(c) = rest.chars().next() {
        let (one, after) = rest.split_at(c.len_utf8());
        out.push(one);
        rest = after;
    }
    out
}

#[test]
fn every_format_reads_what_models_write() {
    for e in EXAMPLES {
        let (text, calls) = parse(e.format, [e.output]);
        assert_eq!(text, e.text, "{}: text of {:?}", e.format, e.output);
        let ok = calls.len() == e.calls.len() && calls.iter().zip(e.calls).all(|(c, x)| is(c, x));
        assert!(
            ok,
            "{}: {:?}\n{calls:#?}\nnot {:?}",
            e.format, e.output, e.calls
        );
    }
    for row in CALL_FORMATS {
        let examples = EXAMPLES.iter().filter(|e| e.format == row.name);
        let (calls, texts): (Vec<_>, Vec<_>) = examples.partition(|e| !e.calls.is_empty());
        assert!(calls.len() >= 3, "{}: examples with calls", row.name);
        let mistakes = calls
            .iter()
            .flat_map(|e| e.calls)
            .filter(|c| c.contains(" !"));
        assert!(
            mistakes.count() > 0,
            "{}: an example of a mistake",
            row.name
        );
        let plain = row.name == "qwen_xml" || !texts.is_empty();
        assert!(plain, "{}: an example of plain text", row.name);
    }
}

#[test]
fn borders_of_pieces_change_nothing() {
    for e in EXAMPLES {
        let whole = parse(e.format, [e.output]);
        let chars = chars(e.output);
        assert_eq!(
            parse(e.format, chars.iter().copied()),
            whole,
            "{:?}",
            e.output
        );
        let mut at = 0;
        for c in &chars {
            let (a, b) = e.output.split_at(at);
            assert_eq!(parse(e.format, [a, b]), whole, "{:?} at {at}", e.output);
            // Three pieces: the middle one a single character.
            let (c, rest) = b.split_at(c.len());
            assert_eq!(
                parse(e.format, [a, c, rest]),
                whole,
                "{:?} at {at}",
                e.output
            );
            at += c.len();
        }
    }
}

#[test]
fn text_is_not_kept_back_and_calls_never_show() {
    for e in EXAMPLES {
        let mut parser = parser(e.format);
        let mut shown = String::new();
        for c in chars(e.output) {
            let (text, _) = collect(parser.push(c));
            shown.push_str(&text);
            assert!(
                e.text.starts_with(&shown),
                "{:?}: showed {shown:?}",
                e.output
            );
        }
    }
    // What cannot be a call is shown with the very character that says so.
    let mut parser = parser("hermes");
    let (text, _) = collect(parser.push("Hello, a <tool"));
    assert_eq!(text, "Hello, a");
    assert_eq!(collect(parser.push("s")).0, "");
    assert_eq!(collect(parser.push("mith")).0, " <toolsmith");
    assert_eq!(collect(parser.push(" says ")).0, " says");
    assert_eq!(collect(parser.push("{\"name\"")).0, " {\"name\"");
}

#[test]
fn an_answer_that_is_cut_off_keeps_the_text_of_its_call() {
    for e in EXAMPLES {
        for (at, _) in e.output.char_indices() {
            let mut parser = parser(e.format);
            let (mut text, calls) = collect(parser.push(&e.output[..at]));
            text.push_str(&parser.cut_off());
            assert!(parser.cut_off().is_empty());
            if calls.is_empty() {
                assert_eq!(text, e.output[..at], "{}", e.format);
            }
        }
    }
}

#[test]
fn formats_are_recognised() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat/jinja");
    for (file, format) in [
        ("Qwen-Qwen2.5-7B-Instruct", "hermes"),
        ("Qwen-Qwen3-0.6B", "hermes"),
        ("Qwen3-Coder", "qwen_xml"),
        ("Qwen3.5-4B", "qwen_xml"),
        ("ibm-granite-granite-4.0", "hermes"),
        ("ibm-granite-granite-3.3-2B-Instruct", "phi"),
        ("mistralai-Mistral-Nemo-Instruct-2407", "mistral"),
        ("microsoft-Phi-3.5-mini-instruct", "hermes"),
        ("HuggingFaceTB-SmolLM3-3B", "hermes"),
    ] {
        let source = std::fs::read_to_string(data.join(format!("{file}.jinja"))).expect(file);
        let template = ChatTemplate::new(&source, "<s>", "</s>", Vec::new()).expect(file);
        assert_eq!(CallFormat::of(Some(&template), None).name, format, "{file}");
    }
    for (source, format) in [
        (
            "{{ '<|start_header_id|>' + messages[0].content + '<|eot_id|>' }}",
            "llama",
        ),
        ("{{ '<start_of_turn>' + messages[0].content }}", "gemma"),
        ("{{ '<|tool|>' + messages[0].content }}", "phi"),
        ("{{ messages[0].content }}", "hermes"),
    ] {
        let template = ChatTemplate::new(source, "", "", Vec::new()).expect(source);
        assert_eq!(
            CallFormat::of(Some(&template), None).name,
            format,
            "{source}"
        );
    }
    assert_eq!(CallFormat::of(None, None).name, "hermes");
}

#[test]
fn hostile_output_is_read_in_bounded_time_and_depth() {
    let deep = format!("<tool_call>{}", "{\"name\":".repeat(100_000));
    let arrays = format!("<tool_call>{}</tool_call>", "[".repeat(200_000));
    let nested = format!(
        "<tool_call>{{\"name\": \"clock\", \"arguments\": {{\"a\": {}1{}}}}}</tool_call>",
        "[".repeat(100),
        "]".repeat(100)
    );
    let python = format!("```tool_code\nclock(a={})\n```", "[".repeat(100_000));
    for (format, output) in [
        ("hermes", &deep),
        ("hermes", &arrays),
        ("hermes", &nested),
        ("gemma", &python),
        ("llama", &format!("<|python_tag|>{}", "(".repeat(100_000))),
        ("mistral", &format!("[TOOL_CALLS]{}", "[".repeat(100_000))),
        ("phi", &format!("functools{}", "[".repeat(100_000))),
    ] {
        let (text, calls) = parse(format, [output.as_str()]);
        assert_eq!(text, "");
        assert_eq!(calls.len(), 1, "{format}");
        assert!(calls[0].mistake.is_some(), "{format}");
    }
}
