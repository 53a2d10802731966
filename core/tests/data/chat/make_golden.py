#!/usr/bin/env python3
"""Writes golden_tools.json: the templates in jinja/ rendered by Python's Jinja2, as Hugging Face renders them.

    pip install jinja2==3.1.6 && python make_golden.py

The environment is that of `apply_chat_template` in transformers: an ImmutableSandboxedEnvironment with trim_blocks
and lstrip_blocks, loop controls, `tojson` as json.dumps without ASCII escapes, raise_exception, strftime_now, and
the generation tag. Nothing here comes from the renderer under test: what each template supports was read off its
source and is stated in TEMPLATES, and what the renderer documents for templates that lack something is written out
again below.
"""

import datetime
import json
import pathlib

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = 1753920000  # 2025-07-31 00:00 UTC
BOS, EOS = "<s>", "</s>"

# tools: lists tools. calls: renders assistant tool calls. results: renders the tool role.
# none: a content of `none` beside tool calls works, and adds nothing (it is an error in the others, or prints "None").
FULL = dict(tools=True, calls=True, results=True, none=True)
TEMPLATES = {
    "HuggingFaceTB-SmolLM3-3B": dict(tools=False, calls=False, results=True, none=False),
    "Qwen-Qwen2.5-7B-Instruct": FULL,
    "Qwen-Qwen3-0.6B": dict(FULL, none=False),  # '</think>' in message.content
    "Qwen3-Coder": FULL,
    "Qwen3.5-4B": FULL,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": dict(FULL, tools=False),
    "deepseek-ai-DeepSeek-V3.1": dict(FULL, tools=False),
    "ibm-granite-granite-3.3-2B-Instruct": dict(FULL, calls=False, none=False),
    "ibm-granite-granite-4.0": FULL,
    "ibm-granite-granite-4.1": FULL,
    "microsoft-Phi-3.5-mini-instruct": dict(tools=False, calls=False, results=False, none=False),
    "mistralai-Mistral-Nemo-Instruct-2407": FULL,
    "openai-gpt-oss-120b": dict(FULL, none=False),  # "…" in message.content
}

TOOLS = [
    {
        "name": "get_weather",
        "description": 'The "current" weather & more, as <b>text</b>.',
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city, e.g. Zürich or 東京"},
                "days": {"type": "integer", "default": 3, "minimum": 1},
                "unit": {"type": "string", "enum": ["c", "f"]},
                "note": {"type": ["string", "null"], "default": None},
            },
            "required": ["city"],
        },
    },
    {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}},
]
ARGUMENTS = {
    "city": 'Zü"rich\n',
    "days": 2,
    "numbers": [1.0, 1e-07, 1e16, 0.1, -3, 123456789012345678],
    "none": None,
    "yes": True,
    "empty": [{}, [], ""],
    "nested": {"a": {"b": ["c"]}},
}


def call(call_id, name, arguments):
    return {"id": call_id, "name": name, "arguments": arguments}


def result(call_id, name, content):
    return {"role": "tool", "content": content, "tool_call_id": call_id, "name": name}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


ONE = call("abcdefgh1", "get_weather", ARGUMENTS)
TWO = call("abcdefgh2", "noop", {})
# name -> (messages, with tools, add_generation_prompt, variables)
CONVERSATIONS = {
    "tools": ([say("system", "Be brief."), say("user", "Hi")], True, True, {}),
    "tools without system": ([say("user", " Hi \n")], True, True, {}),
    "call": (
        [
            say("system", "Be brief."),
            say("user", "Weather?"),
            say("assistant", "", tool_calls=[ONE]),
            result("abcdefgh1", "get_weather", '{"t": 21.5}'),
        ],
        True,
        True,
        {},
    ),
    "two calls": (
        [
            say("user", "Weather?"),
            say("assistant", "Let me see.", tool_calls=[ONE, TWO]),
            result("abcdefgh1", "get_weather", "21 °C"),
            result("abcdefgh2", "noop", "done"),
            say("assistant", "It is 21 °C."),
            say("user", "Thanks"),
        ],
        True,
        True,
        {},
    ),
    "call without tools": (
        [
            say("user", "Weather?"),
            say("assistant", "", tool_calls=[ONE]),
            result("abcdefgh1", "get_weather", "21 °C"),
            say("assistant", "It is 21 °C."),
            say("user", "Thanks"),
        ],
        False,
        True,
        {},
    ),
    "reasoning": (
        [say("user", "1+1?"), say("assistant", "2", reasoning="One and one."), say("user", "+1?")],
        False,
        True,
        {},
    ),
    "reasoning last": (
        [say("system", "S"), say("user", "1+1?"), say("assistant", "\n2", reasoning="One and one.\n")],
        False,
        False,
        {},
    ),
    "inline reasoning": (
        [
            say("user", "1+1?"),
            say("assistant", "<think>\nOne and one.\n</think>\n\n2"),
            say("user", "+1?"),
            say("assistant", "<think>Two and one.</think>3"),
        ],
        False,
        False,
        {},
    ),
    "thinking off": ([say("user", "Hi")], False, True, {"enable_thinking": False}),
    "thinking on": ([say("user", "Hi")], False, True, {"enable_thinking": True, "thinking": True}),
    "does not alternate": ([say("user", "a"), say("user", "b")], False, True, {}),
}


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("body"), [], [], body).set_lineno(line)

    def body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime
    return env


def dumps(x):
    return json.dumps(x, ensure_ascii=False)


TOOLS_INTRO = (
    "You may call the tools listed below. To call one, reply with a JSON object that holds its name and its "
    'arguments, in this form:\n<tool_call>\n{"name": "tool name", "arguments": {}}\n</tool_call>\n\nTools, one JSON '
    "object per line:\n"
)


def template_messages(messages, tools, can):
    """The documented changes for what a template lacks, then the form in which templates take messages."""
    messages = [dict(m) for m in messages]
    native = not tools or can["tools"]
    if not native:
        text = TOOLS_INTRO + "\n".join(dumps(t) for t in tools)
        if messages[0]["role"] == "system":
            messages[0]["content"] += "\n\n" + text
        else:
            messages.insert(0, say("system", text))
    out = []
    for m in messages:
        calls = m.pop("tool_calls", [])
        reasoning = m.pop("reasoning", None)
        if calls and not (native and can["calls"]):
            texts = [
                f'<tool_call>\n{{"name": {dumps(c["name"])}, "arguments": {dumps(c["arguments"])}}}\n</tool_call>'
                for c in calls
            ]
            m["content"] = "\n".join(([m["content"]] if m["content"] else []) + texts)
            calls = []
        if m["role"] == "tool" and not (native and can["results"]):
            text = f"<tool_response>\n{m['content']}\n</tool_response>"
            if out and out[-1].get("was_result"):
                out[-1]["content"] += "\n" + text
            else:
                out.append({"role": "user", "content": text, "was_result": True})
            continue
        if reasoning is not None:
            m["reasoning_content"] = m["thinking"] = reasoning
        if calls:
            m["tool_calls"] = [
                {
                    "id": c["id"],
                    "type": "function",
                    "function": {"name": c["name"], "arguments": c["arguments"]},
                }
                for c in calls
            ]
            if not m["content"] and can["none"]:
                m["content"] = None
        out.append(m)
    for m in out:
        m.pop("was_result", None)
    return out, native


def main():
    env = environment()
    cases = []
    for template, can in TEMPLATES.items():
        compiled = env.from_string((HERE / "jinja" / f"{template}.jinja").read_text())
        for name, (messages, with_tools, add_generation_prompt, variables) in CONVERSATIONS.items():
            tools = [{"type": "function", "function": t} for t in TOOLS] if with_tools else None
            adapted, native = template_messages(messages, tools, can)
            try:
                expected = compiled.render(
                    messages=adapted,
                    tools=tools if native else None,
                    documents=None,
                    add_generation_prompt=add_generation_prompt,
                    bos_token=BOS,
                    eos_token=EOS,
                    **variables,
                )
            except (jinja2.exceptions.TemplateError, TypeError):
                expected = None  # the template refuses this conversation
            cases.append({"template": template, "conversation": name, "expected": expected})
    conversations = {
        name: {
            "messages": messages,
            "with_tools": with_tools,
            "add_generation_prompt": agp,
            "variables": variables,
        }
        for name, (messages, with_tools, agp, variables) in CONVERSATIONS.items()
    }
    golden = {
        "source": f"make_golden.py, Jinja2 {jinja2.__version__}",
        "now": NOW,
        "bos_token": BOS,
        "eos_token": EOS,
        "tools": TOOLS,
        "conversations": conversations,
        "cases": cases,
    }
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    (HERE / "golden_tools.json").write_text(text + "\n")
    refused = sum(c["expected"] is None for c in cases)
    print(f"{len(cases)} cases, {refused} of them refused by the template")


if __name__ == "__main__":
    main()
