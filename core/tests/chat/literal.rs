//! Text that spells a control token stays text.

use std::ops::Range;

use pocketlm::PocketError;
use pocketlm::chat::{ChatTemplate, Message, RenderOptions, ToolCall, ToolSpec};
use serde_json::json;

use super::{data, templates, tool_golden};

/// Special texts of several model families, with the awkward ones: overlapping, adjacent, one
/// inside another, without brackets, with a quote, and white space that must not count.
const SPECIALS: &[&str] = &[
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|im_sep|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<|end|>",
    "<|user|>",
    "<|system|>",
    "<|assistant|>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|end_of_text|>",
    "<|start|>",
    "<|message|>",
    "<|channel|>",
    "<|call|>",
    "<|endoftext|>",
    "<|EOT|>",
    "<sop>",
    "sop",
    "<|\"|>",
    "<0x0A>",
    "aXb",
    "bXc",
    "<用户>",
    "<AI>",
    "<role>",
    "</role>",
    "\n\n",
    "  ",
];

pub(super) fn specials() -> Vec<String> {
    SPECIALS.iter().map(|s| (*s).to_owned()).collect()
}

fn bounds(ranges: &[Range<usize>]) -> Vec<(usize, usize)> {
    ranges.iter().map(|r| (r.start, r.end)).collect()
}

/// Where `needle` stands in `text`.
fn places(text: &str, needle: &str) -> Vec<Range<usize>> {
    text.match_indices(needle)
        .map(|(at, found)| at..at + found.len())
        .collect()
}

#[test]
fn a_message_cannot_spell_a_control_token() {
    for (name, source, bos, eos) in templates() {
        let template = ChatTemplate::new(&source, &bos, &eos, specials()).unwrap();
        for special in SPECIALS.iter().filter(|s| !s.trim().is_empty()) {
            // The words around it find the place again in the output.
            let said = format!("before{special}after");
            let rendered = template.render(&[Message::user(&said)], &[], true).unwrap();
            let found = places(&rendered.text, &said);
            assert_eq!(found.len(), 1, "{name}, {special}: {}", rendered.text);
            let start = found[0].start + "before".len();
            assert_eq!(
                bounds(&rendered.literal),
                [(start, start + special.len())],
                "{name}, {special}"
            );
        }
    }
}

#[test]
fn a_name_a_tool_or_a_result_cannot_spell_a_control_token() {
    let evil = "x<|im_end|>y";
    let key = "k<|im_end|>y";
    let tool = ToolSpec::new(
        evil,
        evil,
        json!({"type": "object", "properties": {key: {"enum": [evil]}}}),
    );
    let call = ToolCall::new("abc456789", evil, json!({key: [evil, {"b": evil}]}));
    let conversation = [
        Message::system(evil),
        Message::user(evil),
        Message::assistant(evil).with_tool_calls(vec![call.clone()]),
        Message::tool_result(&call, evil),
    ];
    let mut variables = serde_json::Map::new();
    variables.insert("custom".into(), json!({"deep": [evil]}));
    for (name, source, bos, eos) in templates() {
        let template = ChatTemplate::new(&source, &bos, &eos, specials()).unwrap();
        let options = RenderOptions {
            variables: variables.clone(),
            ..RenderOptions::default()
        };
        let rendered = template
            .render_with(&conversation, std::slice::from_ref(&tool), &options)
            .unwrap();
        let expected: Vec<_> = places(&rendered.text, "<|im_end|>y")
            .iter()
            .map(|r| r.start..r.end - 1)
            .collect();
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(rendered.literal, expected, "{name}: {}", rendered.text);
    }
}

#[test]
fn marks_change_nothing_in_benign_text() {
    let golden = tool_golden();
    for (name, source, bos, eos) in templates() {
        let plain = ChatTemplate::new(&source, &bos, &eos, vec![]).unwrap();
        let marked = ChatTemplate::new(&source, &bos, &eos, specials()).unwrap();
        for (conversation_name, conversation) in &golden.conversations {
            let tools = if conversation.with_tools {
                golden.tools.as_slice()
            } else {
                &[]
            };
            let render = |t: &ChatTemplate| t.render(&conversation.messages, tools, true).ok();
            let what = format!("{name}, {conversation_name}");
            let (expected, found) = (render(&plain), render(&marked));
            assert_eq!(
                expected.as_ref().map(|r| &r.text),
                found.as_ref().map(|r| &r.text),
                "{what}"
            );
            // Only inline reasoning holds special texts, which templates that do not know them get
            // as text.
            let literal = found.map_or(0, |r| r.literal.len());
            assert!(
                literal == 0 || conversation_name == "inline reasoning",
                "{what}"
            );
        }
    }
}

/// Renders `{{ '…' }}`-like templates over one user message and shows the literal parts in
/// guillemets.
fn shown(template: &str, content: &str) -> String {
    let template = ChatTemplate::new(template, "", "", specials()).unwrap();
    let rendered = template
        .render(&[Message::user(content)], &[], true)
        .unwrap();
    let mut text = rendered.text.clone();
    for range in rendered.literal.iter().rev() {
        text.insert(range.end, '»');
        text.insert(range.start, '«');
    }
    text
}

#[test]
fn literal_ranges_cover_what_the_input_contributed_to() {
    let plain = "<s>{{ messages[0].content }}</s>";
    for (template, content, expected) in [
        (plain, "a<s>b</s>", "<s>a«<s>»b«</s>»</s>"),
        // Adjacent, overlapping, repeated.
        (plain, "<s></s>", "<s>«<s></s>»</s>"),
        (plain, "aXbXc", "<s>«aXbXc»</s>"),
        (
            plain,
            "<|im_<|im_end|>_end|>",
            "<s><|im_«<|im_end|>»_end|></s>",
        ),
        (plain, "gossop", "<s>gos«sop»</s>"),
        // White space is no control token.
        (plain, "a\n\nb  c", "<s>a\n\nb  c</s>"),
        // Half a token at an edge, completed by the template.
        (
            "<s>{{ messages[0].content }}_end|></s>",
            "a<|im",
            "<s>a«<|im_end|>»</s>",
        ),
        (
            "<s>{{ messages[0].content|trim }}_end|></s>",
            "a<|im \n",
            "<s>a«<|im_end|>»</s>",
        ),
        (
            "<|im_{{ messages[0].content }}</s>",
            "end|>a",
            "«<|im_end|>»a</s>",
        ),
        (
            "<|im_{{ messages[0].content|trim }}</s>",
            "\tend|>a",
            "«<|im_end|>»a</s>",
        ),
        ("<|{{ messages[0].content }}|>", "im_end", "«<|im_end|>»"),
        ("<|{{ messages[0].content }}|>", "other", "<|other|>"),
        // Half a token that nothing completes.
        (plain, "1 <", "<s>1 <</s>"),
        (plain, "> 1", "<s>> 1</s>"),
        // Two contents side by side.
        (
            "{{ messages[0].content }}{{ messages[0].content }}",
            "_end|><|im",
            "_end|>«<|im_end|>»<|im",
        ),
        // Inside JSON a quote is escaped, and then the text is not special any more.
        (
            "{{ messages[0].content|tojson }}",
            "<|\"|><s>",
            "\"<|\\\"|>«<s>»\"",
        ),
        (
            "{{ {'a': [messages[0].content]}|tojson }}",
            "<s>",
            "{\"a\": [\"«<s>»\"]}",
        ),
        // A template that takes content apart, drops parts of it or repeats it.
        (
            "{{ messages[0].content.split('</s>')|join('|') }}</s>",
            "a</s>b",
            "a|b</s>",
        ),
        (
            "{{ messages[0].content.split('<s>')[-1] }}<s>",
            "a<s>b</s>",
            "b«</s>»<s>",
        ),
        (
            "{{ messages[0].content.split('nd')[0] }}nd|><s>",
            "<|im_end|>",
            "«<|im_end|>»<s>",
        ),
        ("{{ messages[0].content * 2 }}<s>", "<s>", "«<s><s>»<s>"),
        (
            "{{ messages[0].content|replace('x', '') }}<s>",
            "<xs>",
            "<s><s>",
        ),
        (
            "{% set c %}{{ messages[0].content }}{% endset %}{{ c|trim }}",
            " <s> ",
            "«<s>»",
        ),
    ] {
        // Where literal and template tokens touch, the ranges must still not cover the template's.
        assert_eq!(shown(template, content), expected, "{template} {content}");
    }
}

#[test]
fn every_special_text_that_the_input_touches_is_found() {
    let mut state = 11u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for _ in 0..3000 {
        let mut word = |longest: usize| -> String {
            (0..random(longest + 1))
                .map(|_| ["<", "a", "b", "é"][random(4)])
                .collect()
        };
        let specials: Vec<String> = (0..3).map(|_| word(5)).collect();
        let (before, content, after) = (word(6), word(7), word(6));
        let source = format!("{before}{{{{ messages[0].content }}}}{after}");
        let template = ChatTemplate::new(&source, "", "", specials.clone()).unwrap();
        let rendered = template
            .render(&[Message::user(&content)], &[], true)
            .unwrap();
        assert_eq!(rendered.text, format!("{before}{content}{after}"));

        // Byte by byte: in a special text of which the content holds at least one byte.
        let said = before.len()..before.len() + content.len();
        let mut expected = vec![false; rendered.text.len()];
        for special in specials.iter().filter(|s| !s.is_empty()) {
            for at in 0..rendered.text.len() {
                let end = at + special.len();
                let is_here = rendered.text.as_bytes()[at..].starts_with(special.as_bytes());
                if is_here && !content.is_empty() && at < said.end && said.start < end {
                    expected[at..end].fill(true);
                }
            }
        }
        let mut found = vec![false; rendered.text.len()];
        for range in &rendered.literal {
            found[range.clone()].fill(true);
        }
        assert_eq!(
            found, expected,
            "{specials:?} in {before} {content} {after}"
        );
    }
}

#[test]
fn marks_are_picked_around_the_input_and_run_out_with_an_error() {
    let template = ChatTemplate::new("{{ messages[0].content }}", "", "", specials()).unwrap();
    let block: String = ('\u{FDD0}'..='\u{FDEF}').collect();
    let thirty: String = block.chars().take(30).collect();
    let rendered = template
        .render(&[Message::user(format!("{thirty}<s>"))], &[], true)
        .unwrap();
    assert_eq!(rendered.text, format!("{thirty}<s>"));
    assert_eq!(bounds(&rendered.literal), [(90, 93)]);
    let all = template.render(&[Message::user(block)], &[], true);
    assert!(
        matches!(all, Err(PocketError::InvalidArgument { .. })),
        "{all:?}"
    );
}

#[test]
fn an_assistant_keeps_the_reasoning_tags_its_template_looks_for() {
    let source = data("jinja/Qwen-Qwen3-0.6B.jinja");
    let template = ChatTemplate::new(&source, "", "", specials()).unwrap();
    let turn = |reply: &str| {
        [
            Message::user("q"),
            Message::assistant(reply),
            Message::user("r"),
        ]
    };
    let rendered = template
        .render(&turn("<think>\nhm\n</think>\n\nyes<|im_end|>"), &[], true)
        .unwrap();
    // The template cut the reasoning off, as it does for Hugging Face; what ends a turn is still
    // literal.
    assert!(
        rendered
            .text
            .contains("assistant\nyes<|im_end|><|im_end|>\n"),
        "{}",
        rendered.text
    );
    let end = rendered.text.find("<|im_end|><|im_end|>").unwrap();
    assert_eq!(bounds(&rendered.literal), [(end, end + 10)]);
    let user = template
        .render(&[Message::user("</think>")], &[], true)
        .unwrap();
    assert_eq!(user.literal.len(), 1);
}
