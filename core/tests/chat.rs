//! Chat templates against two independent implementations.

mod hostile;
mod literal;

use std::collections::BTreeMap;
use std::path::PathBuf;

use pocketlm::PocketError;
use pocketlm::chat::{ChatTemplate, Message, RenderOptions, Rendered, Role, ToolCall, ToolSpec};
use pocketlm::gguf::{Gguf, Writer};
use pocketlm::tokenizer::Tokenizer;
use serde::Deserialize;
use serde_json::{Value, json};

fn data(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/chat")
        .join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[derive(Deserialize)]
struct RenderGolden {
    conversation: Vec<Message>,
    add_generation_prompt: bool,
    cases: Vec<RenderCase>,
}

#[derive(Deserialize)]
struct RenderCase {
    name: String,
    template_str: String,
    bos_token: String,
    eos_token: String,
    expected: String,
    supported_with_jinja: bool,
    needs_system_polyfill: bool,
    extra_conversation: Vec<Message>,
}

fn render_golden() -> RenderGolden {
    serde_json::from_str(&data("golden_render.json")).unwrap()
}

#[derive(Deserialize)]
struct ToolGolden {
    now: u64,
    bos_token: String,
    eos_token: String,
    tools: Vec<ToolSpec>,
    conversations: BTreeMap<String, Conversation>,
    cases: Vec<ToolCase>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    with_tools: bool,
    add_generation_prompt: bool,
    variables: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct ToolCase {
    template: String,
    conversation: String,
    expected: Option<String>,
}

fn tool_golden() -> ToolGolden {
    serde_json::from_str(&data("golden_tools.json")).unwrap()
}

/// Every template of the test data: a name, its source, and the texts of BOS and EOS.
fn templates() -> Vec<(String, String, String, String)> {
    let mut all: Vec<_> = render_golden()
        .cases
        .into_iter()
        .filter(|c| c.supported_with_jinja)
        .map(|c| (c.name, c.template_str, c.bos_token, c.eos_token))
        .collect();
    let tools = tool_golden();
    let names: std::collections::BTreeSet<_> = tools.cases.iter().map(|c| &c.template).collect();
    for name in names {
        let source = data(&format!("jinja/{name}.jinja"));
        all.push((
            name.clone(),
            source,
            tools.bos_token.clone(),
            tools.eos_token.clone(),
        ));
    }
    all
}

#[test]
fn conversations_render_as_llama_cpp_renders_them() {
    let golden = render_golden();
    let (mut equal, mut merged) = (0, 0);
    for case in &golden.cases {
        let template =
            ChatTemplate::new(&case.template_str, &case.bos_token, &case.eos_token, vec![])
                .unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let messages = [golden.conversation.as_slice(), &case.extra_conversation].concat();
        let rendered = template.render(&messages, &[], golden.add_generation_prompt);
        if !case.supported_with_jinja {
            let error = rendered.expect_err(&case.name);
            assert!(
                matches!(error, PocketError::TemplateFailed { .. }),
                "{error:?}"
            );
            continue;
        }
        assert_eq!(rendered.unwrap().text, case.expected, "{}", case.name);
        assert_eq!(
            template.capabilities(false).system,
            !case.needs_system_polyfill,
            "{}",
            case.name
        );
        equal += 1;
        merged += usize::from(case.needs_system_polyfill);
    }
    assert_eq!((equal, merged, golden.cases.len()), (35, 6, 36));
}

#[test]
fn tools_render_as_hugging_face_renders_them() {
    let golden = tool_golden();
    let mut compiled: BTreeMap<&str, ChatTemplate> = BTreeMap::new();
    for case in &golden.cases {
        let template = compiled.entry(&case.template).or_insert_with(|| {
            let source = data(&format!("jinja/{}.jinja", case.template));
            ChatTemplate::new(&source, &golden.bos_token, &golden.eos_token, vec![]).unwrap()
        });
        let conversation = &golden.conversations[&case.conversation];
        let tools = if conversation.with_tools {
            golden.tools.as_slice()
        } else {
            &[]
        };
        let options = RenderOptions {
            add_generation_prompt: conversation.add_generation_prompt,
            variables: conversation.variables.clone(),
            now: Some(golden.now),
        };
        let rendered = template.render_with(&conversation.messages, tools, &options);
        let what = format!("{}, {}", case.template, case.conversation);
        match &case.expected {
            Some(expected) => assert_eq!(&rendered.expect(&what).text, expected, "{what}"),
            None => assert!(
                matches!(rendered, Err(PocketError::TemplateFailed { .. })),
                "{what}"
            ),
        }
    }
    assert_eq!(golden.cases.len(), 143);
}

/// The template of a file that carries `templates` (metadata key, source) and a vocabulary of a few
/// tokens.
fn from_file(templates: &[(&str, &str)]) -> Result<Option<ChatTemplate>, PocketError> {
    let tokens = ["<unk>", "<s>", "</s>", "<|im_end|>", "a", "<", "|"];
    let mut writer = Writer::new();
    writer
        .metadata("tokenizer.ggml.model", "llama")
        .metadata("tokenizer.ggml.tokens", tokens.map(str::to_owned).to_vec())
        .metadata("tokenizer.ggml.scores", vec![0f32; tokens.len()])
        .metadata("tokenizer.ggml.token_type", vec![2i32, 3, 3, 3, 1, 1, 1]);
    for (key, source) in templates {
        writer.metadata(*key, *source);
    }
    let gguf = Gguf::from_bytes(writer.to_bytes()?)?;
    ChatTemplate::from_gguf(&gguf, &Tokenizer::from_gguf(&gguf)?)
}

#[test]
fn a_model_file_carries_its_template() {
    let key = "tokenizer.chat_template";
    assert!(from_file(&[]).unwrap().is_none());
    assert!(from_file(&[(key, " \n")]).unwrap().is_none());
    assert!(matches!(
        from_file(&[(key, "{{")]),
        Err(PocketError::TemplateFailed { .. })
    ));

    let source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}";
    let template = from_file(&[(key, source)]).unwrap().unwrap();
    let rendered = template
        .render(&[Message::user("a</s>")], &[], true)
        .unwrap();
    assert_eq!(rendered.text, "<s>a</s></s>");
    assert_eq!(rendered.literal.len(), 1);
    assert_eq!((rendered.literal[0].start, rendered.literal[0].end), (4, 8));

    let tool_key = "tokenizer.chat_template.tool_use";
    let template = from_file(&[(key, source), (tool_key, "tools!")])
        .unwrap()
        .unwrap();
    assert_eq!(
        (template.source(false), template.source(true)),
        (source, "tools!")
    );
    assert!(from_file(&[(key, source), (tool_key, "{%")]).is_err());
}

#[test]
fn a_variant_for_tools_is_used_when_there_are_tools() {
    let template = ChatTemplate::new("plain", "", "", vec![])
        .unwrap()
        .with_tool_template("{% for t in tools or [] %}{{ t.function.name }}{% endfor %}")
        .unwrap();
    let tool = ToolSpec::new("the_tool", "", json!({}));
    let user = [Message::user("x")];
    assert_eq!(template.render(&user, &[], true).unwrap().text, "plain");
    assert_eq!(
        template.render(&user, &[tool], true).unwrap().text,
        "the_tool"
    );
    assert_eq!(template.source(false), "plain");
    assert!(template.source(true).starts_with("{% for t in"));
}

#[test]
fn messages_take_the_form_the_template_expects() {
    let call = ToolCall::new("abcdefghi", "f", json!({"k": [1.0, "v"]}));
    let conversation = [
        Message::user("q"),
        Message::assistant("").with_tool_calls(vec![call.clone()]),
        Message::tool_result(&call, "r"),
    ];
    let calls = "{% for c in m.tool_calls or [] %}{{ c.function.name }}";
    for (body, expected) in [
        // An empty content would print as `None`.
        ("{{ m.content }}", "qf{\"k\": [1.0, \"v\"]}r"),
        // Only `none` keeps the template from ending a turn.
        (
            "{% if m.content is not none %}{{ m.content }};{% endif %}",
            "q;f{\"k\": [1.0, \"v\"]}r;",
        ),
        // Content in parts.
        (
            "{% for p in m.content %}{{ p.text }}{% endfor %}",
            "qf{\"k\": [1.0, \"v\"]}r",
        ),
    ] {
        let arguments = "{{ c.function.arguments|tojson }}{% endfor %}";
        let source = format!("{{% for m in messages %}}{body}{calls}{arguments}{{% endfor %}}");
        let template = ChatTemplate::new(&source, "", "", vec![]).unwrap();
        let text = template.render(&conversation, &[], true).unwrap().text;
        assert_eq!(text, expected, "{body}");
    }
    // A template that prints the arguments as they are wants them as JSON text.
    let printed = "{{ c.function.arguments }}{% endfor %}";
    let source =
        format!("{{% for m in messages %}}{{{{ m.content }}}}{calls}{printed}{{% endfor %}}");
    let template = ChatTemplate::new(&source, "", "", vec![]).unwrap();
    let text = template.render(&conversation, &[], true).unwrap().text;
    assert_eq!(text, "qf{\"k\": [1.0, \"v\"]}r");
}

#[test]
fn input_that_cannot_be_rendered_is_refused() {
    let template = ChatTemplate::new("{{ messages[0].role }}", "", "", vec![]).unwrap();
    let invalid = |result: Result<Rendered, PocketError>, name: &str| match result {
        Err(PocketError::InvalidArgument { name: found, .. }) => assert_eq!(found, name),
        other => panic!("{other:?}"),
    };
    for role in ["", "a b", "<|im_end|>", "ä", &"x".repeat(65)] {
        invalid(
            template.render(&[Message::new(Role::Other(role.into()), "x")], &[], true),
            "role",
        );
    }
    let mut deep = json!(1);
    for _ in 0..2000 {
        deep = json!([deep]);
    }
    let message =
        Message::assistant("").with_tool_calls(vec![ToolCall::new("1", "f", deep.clone())]);
    invalid(
        template.render(std::slice::from_ref(&message), &[], true),
        "arguments",
    );
    let tool = ToolSpec::new("f", "", deep);
    invalid(
        template.render(&[Message::user("x")], std::slice::from_ref(&tool), true),
        "tools",
    );
    // serde_json drops by recursion, which is for whoever built such a value to survive.
    std::mem::forget((message, tool));
    let reserved = RenderOptions {
        variables: json!({"messages": []}).as_object().unwrap().clone(),
        ..RenderOptions::default()
    };
    invalid(
        template.render_with(&[Message::user("x")], &[], &reserved),
        "variables",
    );
    invalid(
        template.render(&[Message::user("x".repeat(5 << 20))], &[], true),
        "messages",
    );
    // Unusual but fine.
    assert_eq!(
        template
            .render(
                &[Message::new(Role::Other("developer".into()), "x")],
                &[],
                true
            )
            .unwrap()
            .text,
        "developer"
    );
}

#[test]
fn long_conversations_fit_the_budgets() {
    let paragraph = "Lorem ipsum dolor sit amet, consetetur sadipscing elitr. ".repeat(40);
    let mut messages = vec![Message::system(&paragraph)];
    for _ in 0..400 {
        messages.extend([Message::user(&paragraph), Message::assistant(&paragraph)]);
    }
    messages.push(Message::user("end"));
    for (name, source, bos, eos) in templates() {
        let template = ChatTemplate::new(&source, &bos, &eos, literal::specials()).unwrap();
        let rendered = template
            .render(&messages, &[], true)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(rendered.text.len() > 800 * paragraph.trim().len(), "{name}");
    }
}

#[test]
fn templates_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<ChatTemplate>();
}
