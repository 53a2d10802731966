//! Files of one folder, to be listed and read. Nothing outside of it, and nothing is written.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use pocketlm::chat::ToolSpec;
use pocketlm::{FunctionTool, Tool};
use serde_json::json;

use super::text;

/// The longest file that is read, in bytes: about 4,000 tokens.
const MAX_FILE: u64 = 16 << 10;
/// The longest list.
const MAX_ENTRIES: usize = 200;

/// The tools for `folder`.
///
/// # Errors
/// When it is not a folder that can be read.
pub fn tools(folder: &Path) -> Result<Vec<Arc<dyn Tool>>> {
    let root = fs::canonicalize(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    if !root.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    let path = |description: &str, required: bool| {
        let required = if required { json!(["path"]) } else { json!([]) };
        json!({
            "type": "object",
            "properties": {"path": {"type": "string", "description": description}},
            "required": required,
        })
    };
    let listing = ToolSpec::new(
        "list_files",
        "Lists the files and folders of a folder, with their sizes in bytes.",
        path("The folder; nothing or . for the top one", false),
    );
    let reading = ToolSpec::new(
        "read_file",
        "The text of a file.",
        path("The file, as list_files names it", true),
    );
    let top = root.clone();
    Ok(vec![
        FunctionTool::shared(listing, move |call, _| {
            list(&top, text(call, "path").unwrap_or_default())
        }),
        FunctionTool::shared(reading, move |call, _| {
            read(&root, text(call, "path").unwrap_or_default())
        }),
    ])
}

/// The file that `path` means inside `root`. Links are followed before it is checked, so that none
/// leads outside.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let outside = || format!("{path} is outside of the folder");
    // The top folder is `/` to the model.
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(plain) {
        return Err(outside());
    }
    let found = fs::canonicalize(root.join(relative));
    let found = found.map_err(|_| format!("there is no {path}"))?;
    match found.starts_with(root) {
        true => Ok(found),
        false => Err(outside()),
    }
}

fn list(root: &Path, path: &str) -> Result<String, String> {
    let folder = inside(root, path)?;
    let entries = fs::read_dir(&folder).map_err(|_| format!("{path} is not a folder"))?;
    let mut lines = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.metadata() {
            Ok(data) if data.is_dir() => lines.push(format!("{name}/")),
            Ok(data) => lines.push(format!("{name} ({} bytes)", data.len())),
            Err(_) => lines.push(name),
        }
    }
    lines.sort();
    let more = lines.len().saturating_sub(MAX_ENTRIES);
    lines.truncate(MAX_ENTRIES);
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    match lines.is_empty() {
        true => Ok("the folder is empty".into()),
        false => Ok(lines.join("\n")),
    }
}

fn read(root: &Path, path: &str) -> Result<String, String> {
    let file = inside(root, path)?;
    let data = fs::metadata(&file).map_err(|error| format!("{path}: {error}"))?;
    if !data.is_file() {
        return Err(format!("{path} is not a file"));
    }
    if data.len() > MAX_FILE {
        let size = data.len();
        return Err(format!("{path} has {size} bytes, the most is {MAX_FILE}"));
    }
    let bytes = fs::read(&file).map_err(|error| format!("{path}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{path} is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_is_open() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("open");
        fs::create_dir_all(root.join("sub")).expect("a folder");
        fs::write(root.join("a.txt"), "hello").expect("a file");
        fs::write(root.join("b.bin"), [0xff, 0xfe]).expect("a file");
        fs::write(root.join("large.txt"), vec![b'a'; MAX_FILE as usize + 1]).expect("a file");
        fs::write(outer.path().join("secret.txt"), "secret").expect("a file");
        let root = fs::canonicalize(root).expect("a folder");
        for path in ["a.txt", "/a.txt", "./a.txt", "sub/./../a.txt"] {
            let expected = match path.contains("..") {
                true => Err(format!("{path} is outside of the folder")),
                false => Ok("hello".to_string()),
            };
            assert_eq!(read(&root, path), expected, "{path}");
        }
        for path in [
            "../secret.txt",
            "sub/../../secret.txt",
            "..",
            "nothing",
            "sub",
            "b.bin",
            "large.txt",
        ] {
            let error = read(&root, path).expect_err(path);
            assert!(!error.contains("secret\n"), "{error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret.txt"), root.join("link"))
                .expect("a link");
            assert_eq!(
                read(&root, "link"),
                Err("link is outside of the folder".into())
            );
            fs::remove_file(root.join("link")).expect("removed");
        }
        let listed = list(&root, "").expect("a list");
        assert_eq!(
            listed,
            "a.txt (5 bytes)\nb.bin (2 bytes)\nlarge.txt (16385 bytes)\nsub/"
        );
        assert_eq!(list(&root, "sub").expect("a list"), "the folder is empty");
        assert!(list(&root, "..").is_err());
    }
}
