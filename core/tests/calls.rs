//! Tool calls as models write them: every format, at every border of the pieces.

use pocketlm::chat::{
    CALL_FORMATS, CallFormat, CallParser, CallPiece, ChatTemplate, ToolSpec, WrittenCall,
    check_arguments,
};
use serde_json::{Value, json};

/// What an output should be: its text, and its calls as `name {arguments}`, or `name !reason` with
/// a part of the reason.
struct Example {
    format: &'static str,
    output: &'static str,
    text: &'static str,
    calls: &'static [&'static str],
}

const fn example(
    format: &'static str,
    output: &'static str,
    text: &'static str,
    calls: &'static [&'static str],
) -> Example {
    Example {
        format,
        output,
        text,
        calls,
    }
}

const EXAMPLES: &[Example] = &[
    // Hermes: one call, several, text around, what small models make of it.
    example(
        "hermes",
        "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>",
        "",
        &["clock {}"],
    ),
    example(
        "hermes",
        "Let me see.\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"clock\", \"arguments\": {\"zone\": null}}\n</tool_call>\n",
        "Let me see.",
        &[r#"weather {"city":"Zürich"}"#, r#"clock {"zone":null}"#],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"a </tool_call> \\\"b\\\" <tool_call>\"}}</tool_call>",
        "",
        &[r#"weather {"city":"a </tool_call> \"b\" <tool_call>"}"#],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"clock\", \"arguments\": {}}}}</tool_call> and <b>bold",
        " and <b>bold",
        &["clock {}"],
    ),
    example(
        "hermes",
        "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}",
        "",
        &["clock {}", "clock {}"],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"clock\", \"arguments\": \"{\\\"zone\\\": 1}\"}</tool_call>",
        "",
        &[r#"clock {"zone":1}"#],
    ),
    example(
        "hermes",
        "a < b, a <tool, a <tool_calls> \n",
        "a < b, a <tool, a <tool_calls> \n",
        &[],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"clock\", \"arguments\": {\"zone\": UTC}}</tool_call>!",
        "!",
        &["clock !could not be read"],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"clock\", \"arguments\": {\"zone\": \"U\"T\"C\"}}</tool_call>\n<tool_call>{\"name\": \"clock\", \"arguments\": {}}</tool_call>",
        "",
        &["clock !could not be read", "clock {}"],
    ),
    example(
        "hermes",
        "<tool_call></tool_call>",
        "",
        &["unreadable_call !empty"],
    ),
    example(
        "hermes",
        "<tool_call>clock()</tool_call>",
        "",
        &["unreadable_call !could not be read"],
    ),
    example(
        "hermes",
        "<tool_call>{\"arguments\": {}}</tool_call>",
        "",
        &["unreadable_call !no \"name\""],
    ),
    example(
        "hermes",
        "<tool_call>{\"name\": \"clock\", \"arguments\": [1]}</tool_call>",
        "",
        &["clock !no object"],
    ),
    // What Qwen's coders write: a Markdown block, the bare object, the element of the tool list.
    example(
        "hermes",
        "```json\n{\n  \"name\": \"weather\",\n  \"arguments\": {\"city\": \"Rome\"}\n}\n```\n",
        "",
        &[r#"weather {"city":"Rome"}"#],
    ),
    example(
        "hermes",
        "I call:\n```json\n{\"name\": \"clock\", \"arguments\": {}}\n```\nDone.",
        "I call:\nDone.",
        &["clock {}"],
    ),
    example(
        "hermes",
        "\n{\"name\": \"clock\", \"arguments\": {}}\n",
        "",
        &["clock {}"],
    ),
    example(
        "hermes",
        "<tools>\n{\"name\": \"clock\", \"arguments\": {}}\n</tools>",
        "",
        &["clock {}"],
    ),
    // What only looks like it: another tool's name, another object, other languages.
    example(
        "hermes",
        "{\"name\": \"Ada\", \"arguments\": {}}",
        "{\"name\": \"Ada\", \"arguments\": {}}",
        &[],
    ),
    example(
        "hermes",
        "  {\"names\": [\"clock\"]} ",
        "  {\"names\": [\"clock\"]} ",
        &[],
    ),
    example(
        "hermes",
        "Code:\n\n```python\nprint({\"name\": 1})\n```\n\n```json\n{\"a\": 1}\n```\nend",
        "Code:\n\n```python\nprint({\"name\": 1})\n```\n\n```json\n{\"a\": 1}\n```\nend",
        &[],
    ),
    example(
        "hermes",
        "The object {\"name\": \"clock\", \"arguments\": {}} is a call.",
        "The object {\"name\": \"clock\", \"arguments\": {}} is a call.",
        &[],
    ),
    // Llama.
    example(
        "llama",
        "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}",
        "",
        &[r#"weather {"city":"Rome"}"#],
    ),
    example(
        "llama",
        "<|python_tag|>{\"type\": \"function\", \"name\": \"clock\", \"parameters\": {}}; {\"name\": \"weather\", \"parameters\": {\"city\": \";\"}}",
        "",
        &["clock {}", r#"weather {"city":";"}"#],
    ),
    example(
        "llama",
        "{\"name\": \"clock\", \"parameters\": {}}; {\"name\": \"clock\", \"parameters\": {}} ;\n",
        "",
        &["clock {}", "clock {}"],
    ),
    example(
        "llama",
        "<|python_tag|>weather.call(city=\"Rome\")",
        "",
        &[r#"weather {"city":"Rome"}"#],
    ),
    example(
        "llama",
        "[{\"name\": \"clock\", \"parameters\": {}}]",
        "",
        &["clock {}"],
    ),
    example(
        "llama",
        "<|python_tag|>import os\nos.listdir()",
        "",
        &["unreadable_call !could not be read"],
    ),
    example(
        "llama",
        "It is {\"name\": \"clock\"} ; fine",
        "It is {\"name\": \"clock\"} ; fine",
        &[],
    ),
    example("llama", "{\"city\": \"Rome\"}", "{\"city\": \"Rome\"}", &[]),
    // Mistral, old and new.
    example(
        "mistral",
        "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}, \"id\": \"abcdefgh1\"}, {\"name\": \"clock\", \"arguments\": {}}]",
        "",
        &[r#"weather {"city":"Rome"} abcdefgh1"#, "clock {}"],
    ),
    example(
        "mistral",
        "Sure. [TOOL_CALLS] [{\"name\": \"clock\", \"arguments\": {\"zone\": \"[TOOL_CALLS]\"}}]",
        "Sure.",
        &[r#"clock {"zone":"[TOOL_CALLS]"}"#],
    ),
    example(
        "mistral",
        "[TOOL_CALLS]weather[ARGS]{\"city\": \"Rome\"}[TOOL_CALLS]clock[CALL_ID]x1[ARGS]{}",
        "",
        &[r#"weather {"city":"Rome"}"#, "clock {} x1"],
    ),
    example(
        "mistral",
        "[TOOL_CALLS]clock{\"zone\": 1}",
        "",
        &[r#"clock {"zone":1}"#],
    ),
    example("mistral", "[TOOL_CALLS]clock", "", &["clock {}"]),
    example(
        "mistral",
        "[TOOL_CALLS]clock[ARGS]{\"zone\": ",
        "",
        &["clock !arguments"],
    ),
    example(
        "mistral",
        "[TOOL_CALLS]the clock tells[ARGS]{}",
        "",
        &["unreadable_call !no name"],
    ),
    example("mistral", "a [TOOL] [1]", "a [TOOL] [1]", &[]),
    // Gemma.
    example(
        "gemma",
        "```tool_code\nprint(weather(city='Rome', days=-2, sizes=[1.5, (2, 3)], more={'a': True, 'b': None}))\n```",
        "",
        &[r#"weather {"city":"Rome","days":-2,"sizes":[1.5,[2,3]],"more":{"a":true,"b":null}}"#],
    ),
    example(
        "gemma",
        "Let me look.\n```tool_code\n[weather(city=\"it's ``` \\u00e9\"), clock()]\n```\nWait.",
        "Let me look.\nWait.",
        &[r#"weather {"city":"it's ``` é"}"#, "clock {}"],
    ),
    example(
        "gemma",
        "```tool_code\nx = clock() # now\nprint(clock(zone=\"UTC\"))\n```",
        "",
        &["clock {}", r#"clock {"zone":"UTC"}"#],
    ),
    example(
        "gemma",
        "```json\n{\"name\": \"clock\", \"arguments\": {}}\n```",
        "",
        &["clock {}"],
    ),
    example(
        "gemma",
        "```tool_code\nweather(\"Rome\")\n```",
        "",
        &["unreadable_call !arguments need names"],
    ),
    example(
        "gemma",
        "```python\nweather(city=\"Rome\")\n```",
        "```python\nweather(city=\"Rome\")\n```",
        &[],
    ),
    example(
        "gemma",
        "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>",
        "",
        &["clock {}"],
    ),
    // Phi and Granite.
    example(
        "phi",
        "<|tool_call|>[{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}, {\"type\": \"function\", \"function\": {\"name\": \"clock\", \"arguments\": {}}}]<|/tool_call|>",
        "",
        &[r#"weather {"city":"Rome"}"#, "clock {}"],
    ),
    example(
        "phi",
        "<|tool_call|>{\"name\": \"clock\", \"parameters\": {}}<|/tool_call|> ok",
        " ok",
        &["clock {}"],
    ),
    example(
        "phi",
        "<|tool_call|>[{\"name\": \"clock\", \"arguments\": {}}]",
        "",
        &["clock {}"],
    ),
    example(
        "phi",
        "Yes: functools[{\"name\": \"clock\", \"arguments\": {}}] done",
        "Yes: done",
        &["clock {}"],
    ),
    example(
        "phi",
        "functools are nice, func",
        "functools are nice, func",
        &[],
    ),
    example(
        "phi",
        "<|tool_call|>[{\"name\": \"clock\", \"arguments\": {]<|/tool_call|>",
        "",
        &["clock !could not be read"],
    ),
    // Qwen's elements in elements.
    example(
        "qwen_xml",
        "I look.\n\n<tool_call>\n<function=weather>\n<parameter=city>\nSaint-\"Étienne\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        "I look.",
        &["weather {\"city\":\"Saint-\\\"Étienne\",\"days\":3}"],
    ),
    example(
        "qwen_xml",
        "<tool_call>\n<function=clock>\n</function>\n</tool_call>\n<tool_call>\n<function=clock>\n<parameter=zone>\n\n a\nb \n</parameter>\n</function>\n</tool_call>\n",
        "",
        &["clock {}", r#"clock {"zone":"\n a\nb "}"#],
    ),
    example(
        "qwen_xml",
        "<tool_call>\n<function=clock",
        "",
        &["unreadable_call !not closed"],
    ),
    example(
        "qwen_xml",
        "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>",
        "",
        &["clock {}"],
    ),
];

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

fn spec() -> ToolSpec {
    ToolSpec::new(
        "weather",
        "",
        json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["c", "f"]},
                "note": {"type": ["string", "null"]},
                "exact": {"type": "boolean"},
                "scale": {"type": "number"},
                "tags": {"type": "array"},
            },
            "required": ["city"],
            "additionalProperties": false,
        }),
    )
}

#[test]
fn arguments_are_checked_against_the_schema() {
    let spec = spec();
    for (arguments, checked) in [
        (json!({"city": "Rome"}), json!({"city": "Rome"})),
        (
            json!({"city": "Rome", "days": 3.0, "unit": "c", "note": null, "scale": 1}),
            json!({"city": "Rome", "days": 3.0, "unit": "c", "note": null, "scale": 1}),
        ),
        // Formats that write 5 and "5" alike.
        (
            json!({"city": 5, "days": "3", "exact": "true"}),
            json!({"city": "5", "days": 3, "exact": true}),
        ),
    ] {
        assert_eq!(check_arguments(&spec, &arguments), Ok(checked));
    }
    for (arguments, part) in [
        (json!([]), "no JSON object"),
        (json!({}), "missing required arguments: city"),
        (
            json!({"city": ["Rome"]}),
            "argument city is of type array, not string",
        ),
        (
            json!({"city": "Rome", "days": 2.5}),
            "days is of type number, not integer",
        ),
        (
            json!({"city": "Rome", "days": "two"}),
            "days is of type string",
        ),
        (
            json!({"city": "Rome", "unit": "k"}),
            "unit is \"k\", not one of \"c\", \"f\"",
        ),
        (
            json!({"city": "Rome", "tags": "a"}),
            "tags is of type string, not array",
        ),
        (
            json!({"city": "Rome", "town": 1}),
            "there is no argument town",
        ),
    ] {
        let error = check_arguments(&spec, &arguments).expect_err(part);
        assert!(error.contains(part), "{error} does not say {part}");
    }
    // A schema that says nothing allows everything.
    let open = ToolSpec::new("any", "", Value::Null);
    assert_eq!(
        check_arguments(&open, &json!({"a": 1})),
        Ok(json!({"a": 1}))
    );
}
