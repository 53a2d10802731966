//! `pocketlm inspect`: what is in a model file, without loading it.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use pocketlm::ModelInfo;
use pocketlm::gguf::{Array, Gguf, Value};
use serde_json::{Map, Value as Json, json};

use crate::output::{self, Output};
use crate::{Globals, model_choice};

/// Array elements shown before the rest is only counted.
const SHOWN_ELEMENTS: usize = 4;

/// Characters of a text value shown on one line.
const SHOWN_CHARACTERS: usize = 120;

/// Arguments of `pocketlm inspect`.
#[derive(Args)]
pub struct InspectArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
}

/// Shows the summary; with `--verbose`, the metadata and the tensors too.
pub fn command(args: &InspectArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let path = model_choice::resolve(args.model.as_deref())?;
    let context = || format!("cannot read {}", path.display());
    let gguf = Gguf::open(&path).with_context(context)?;
    let info = ModelInfo::from_gguf(&gguf).with_context(context)?;
    if out.json {
        let mut object = summary_json(&path, &gguf, &info);
        if globals.verbose {
            object["metadata"] = metadata_json(&gguf);
            object["tensors"] = tensors_json(&gguf);
        }
        return out.json(&object);
    }
    write_summary(&path, &gguf, &info, out)?;
    if globals.verbose {
        write_details(&gguf, out)?;
    }
    Ok(())
}

fn write_summary(path: &Path, gguf: &Gguf, info: &ModelInfo, out: &mut Output) -> Result<()> {
    let mut row = |label: &str, text: String| out.line(&format!("{label:<13} {text}"));
    let number = |n: Option<usize>| n.map_or("not stated".into(), |n| n.to_string());
    row("file", path.display().to_string())?;
    if let Some(name) = &info.name {
        row("name", one_line(name))?;
    }
    let supported = if info.supported {
        ""
    } else {
        " (not supported)"
    };
    row("architecture", one_line(&info.architecture) + supported)?;
    row("parameters", output::count(info.parameters))?;
    let files = match gguf.split_count() {
        1 => String::new(),
        count => format!(" in {count} files"),
    };
    row(
        "size",
        format!(
            "{}{files} (GGUF version {})",
            output::bytes(info.file_bytes),
            gguf.version()
        ),
    )?;
    row("context", format!("{} tokens", number(info.context)))?;
    row(
        "layers",
        format!("{}, {} wide", number(info.layers), number(info.dim)),
    )?;
    let tokenizer = info.tokenizer.as_deref().unwrap_or("none");
    row(
        "tokenizer",
        format!("{}, {} tokens", one_line(tokenizer), number(info.vocab)),
    )?;
    row(
        "chat template",
        if info.chat_template { "yes" } else { "no" }.into(),
    )?;
    for share in &info.types {
        let percent = 100.0 * share.bytes as f64 / info.file_bytes.max(1) as f64;
        let tensors = if share.tensors == 1 {
            "tensor"
        } else {
            "tensors"
        };
        let size = output::bytes(share.bytes);
        row(
            "",
            format!(
                "{:<8} {:>4} {tensors:<8} {size:>10} {percent:>5.1} %",
                share.name, share.tensors
            ),
        )?;
    }
    Ok(())
}

fn summary_json(path: &Path, gguf: &Gguf, info: &ModelInfo) -> Json {
    let types = info.types.iter();
    let types: Map<String, Json> = types
        .map(|share| {
            (
                share.name.into(),
                json!({ "tensors": share.tensors, "bytes": share.bytes }),
            )
        })
        .collect();
    json!({
        "path": path, "name": info.name, "architecture": info.architecture, "supported": info.supported,
        "parameters": info.parameters, "file_bytes": info.file_bytes, "files": gguf.split_count(),
        "gguf_version": gguf.version(), "context_length": info.context, "layers": info.layers,
        "embedding_length": info.dim, "tokenizer": info.tokenizer, "vocabulary": info.vocab,
        "chat_template": info.chat_template, "types": types,
    })
}

fn write_details(gguf: &Gguf, out: &mut Output) -> Result<()> {
    out.line("")?;
    for (key, value) in gguf.metadata().iter() {
        out.line(&format!("{} = {}", one_line(key), shown(value)))?;
    }
    out.line("")?;
    for tensor in gguf.tensors() {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        out.line(&format!(
            "{:<40} {:<8} [{}]",
            one_line(&tensor.name),
            tensor.ty.name(),
            shape.join(", ")
        ))?;
    }
    Ok(())
}

/// A value in one line; long texts and arrays are cut.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(array) => {
            let mut shown: Vec<String> = array
                .iter()
                .take(SHOWN_ELEMENTS)
                .map(|element| shown_element(&element))
                .collect();
            if array.len() > SHOWN_ELEMENTS {
                shown.push("…".into());
            }
            format!(
                "[{}] ({} {})",
                shown.join(", "),
                array.len(),
                array.element_type().name()
            )
        }
        other => shown_element(other),
    }
}

fn shown_element(value: &Value) -> String {
    match value {
        Value::Str(text) => format!("\"{}\"", one_line(text.as_str())),
        Value::Array(array) => format!("[{} {}]", array.len(), array.element_type().name()),
        // As an f64 it would show digits that the file does not have.
        Value::F32(x) => format!("{x:?}"),
        other => scalar_json(other).to_string(),
    }
}

/// Text of a file for a terminal: no line breaks or control characters, cut when long.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == SHOWN_CHARACTERS {
            line.push('…');
            break;
        }
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

fn metadata_json(gguf: &Gguf) -> Json {
    let meta = gguf.metadata().iter();
    meta.map(|(key, value)| (key.to_string(), value_json(value)))
        .collect()
}

fn tensors_json(gguf: &Gguf) -> Json {
    gguf.tensors()
        .iter()
        .map(|t| json!({ "name": t.name, "type": t.ty.name(), "shape": t.shape, "offset": t.offset, "bytes": t.byte_len }))
        .collect()
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Array(array) => array_json(array),
        other => scalar_json(other),
    }
}

fn array_json(array: &Array) -> Json {
    array.iter().map(|element| value_json(&element)).collect()
}

/// A value that is no array; numbers that JSON does not have (NaN, infinities) become null.
fn scalar_json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Str(text) => json!(text.as_str()),
        other => match (other.as_integer(), other.as_float()) {
            (Some(n), _) => u64::try_from(n).map_or_else(|_| json!(n as i64), |n| json!(n)),
            (None, Some(x)) => json!(x),
            (None, None) => Json::Null,
        },
    }
}
