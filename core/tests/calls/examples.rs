//! Outputs of models, and what is in them. Every row of the table of formats has some.

/// What an output should be: its text, and its calls as `name {arguments}`, or `name !reason` with
/// a part of the reason.
pub struct Example {
    pub format: &'static str,
    pub output: &'static str,
    pub text: &'static str,
    pub calls: &'static [&'static str],
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

pub const EXAMPLES: &[Example] = &[
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
