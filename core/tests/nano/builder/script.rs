//! A nano model that says what it is told to: every token has one successor.
//!
//! Its layers add nothing, so the hidden state is the embedding of the newest token, and a row of the
//! output matrix is the sum of the embeddings of the tokens it follows. With embeddings of random
//! signs the right row wins by far.

use pocketlm::gguf::{TensorType, ValueType, WriteValue};

use super::{DIM, Nano, Noise, VOCAB, Weights, recipe, weights};

/// Token types of the GGUF specification.
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;
const USER_DEFINED: i32 = 4;

/// The token that ends a turn.
pub const END: &str = "<|im_end|>";

/// A chat template that shows tools, calls and results, and repeats the newest message at the end:
/// its last token decides what the model says.
pub const TEMPLATE: &str = "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}\
    {% for message in messages %}{{ '<|im_start|>' + message.role + ' ' + (message.content or '') }}\
    {% for call in message.tool_calls or [] %}{{ '<tool_call>{\"name\": \"' + call.function.name + \
    '\", \"arguments\": ' }}{{ call.function.arguments | tojson }}{{ '}</tool_call>' }}{% endfor %}\
    {{ '<|im_end|>' }}{% endfor %}\
    {% if add_generation_prompt %}{{ messages[-1].content }}{% endif %}";

/// A model with `template` that, when the newest token is the first of a line, says the others and
/// ends its turn, unless another line begins with the last. A text that is no token of the nano
/// vocabulary becomes one; one in `controls` becomes a control token.
///
/// # Panics
/// When a token would have two successors, or there are too many.
pub fn script(template: &str, controls: &[&str], lines: &[&[&str]]) -> Nano {
    let mut nano = recipe("llama").build(Weights::All(TensorType::F32));
    nano.set("llama.context_length", 4096u32)
        .set("tokenizer.chat_template", template);
    let mut tokens = Tokens::of(&nano);
    let starts: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    let mut follows: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        let ends = !starts.contains(line.last().expect("a line of two tokens or more"));
        let mut line = line.to_vec();
        line.extend(ends.then_some(END));
        let ids: Vec<usize> = line.iter().map(|text| tokens.id(text, controls)).collect();
        for pair in ids.windows(2) {
            let known = follows.iter().find(|(from, _)| *from == pair[0]);
            match known {
                Some((_, to)) => assert_eq!(*to, pair[1], "two successors of a token in {line:?}"),
                None => follows.push((pair[0], pair[1])),
            }
        }
    }
    tokens.write(&mut nano);
    let signs = Noise::new("signs").normals(VOCAB * DIM, 1.0);
    let embeddings: Vec<f32> = signs.iter().map(|x| x.signum()).collect();
    let mut output = vec![0.0f32; VOCAB * DIM];
    for (from, to) in follows {
        for (out, x) in output[to * DIM..][..DIM]
            .iter_mut()
            .zip(&embeddings[from * DIM..])
        {
            *out += x;
        }
    }
    for tensor in &mut nano.tensors {
        let values = tensor.bytes.len() / 4;
        tensor.bytes = match tensor.name.as_str() {
            "token_embd.weight" => weights::floats(&embeddings),
            "output.weight" => weights::floats(&output),
            "output_norm.weight" => weights::floats(&vec![1.0; values]),
            name if name.contains("attn_output") || name.contains("ffn_down") => {
                weights::floats(&vec![0.0; values])
            }
            _ => continue,
        };
    }
    nano
}

/// The vocabulary in the making.
struct Tokens {
    texts: Vec<String>,
    types: Vec<i32>,
}

impl Tokens {
    fn of(nano: &Nano) -> Self {
        let items = |key: &str| {
            let found = nano.metadata.iter().find(|(k, _)| k == key);
            match &found.unwrap_or_else(|| panic!("no key {key}")).1 {
                WriteValue::Array(_, items) => items.clone(),
                other => panic!("{key} is {other:?}"),
            }
        };
        let text = |value| match value {
            WriteValue::Str(text) => text,
            other => panic!("a token {other:?}"),
        };
        let kind = |value| match value {
            WriteValue::I32(kind) => kind,
            other => panic!("a token type {other:?}"),
        };
        Self {
            texts: items("tokenizer.ggml.tokens")
                .into_iter()
                .map(text)
                .collect(),
            types: items("tokenizer.ggml.token_type")
                .into_iter()
                .map(kind)
                .collect(),
        }
    }

    fn id(&mut self, text: &str, controls: &[&str]) -> usize {
        let used = |kind: &i32| *kind != UNUSED;
        let known = self.texts.iter().position(|t| t == text);
        if let Some(id) = known.filter(|id| used(&self.types[*id])) {
            return id;
        }
        let free = self.types.iter().position(|kind| !used(kind));
        let id = free.expect("a reserved token for every text of the script");
        self.texts[id] = text.to_owned();
        self.types[id] = match controls.contains(&text) {
            true => CONTROL,
            false => USER_DEFINED,
        };
        id
    }

    fn write(self, nano: &mut Nano) {
        let texts = self.texts.into_iter().map(WriteValue::Str).collect();
        let types = self.types.into_iter().map(WriteValue::I32).collect();
        nano.set(
            "tokenizer.ggml.tokens",
            WriteValue::Array(ValueType::Str, texts),
        )
        .set(
            "tokenizer.ggml.token_type",
            WriteValue::Array(ValueType::I32, types),
        );
    }
}
