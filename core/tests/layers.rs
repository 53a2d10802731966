//! Imports only point down: a scan of the sources for `crate::` paths that go up.

use std::path::Path;

/// Modules by height; a module imports from lower ones only.
const HEIGHTS: &[(&str, u32)] = &[
    ("error", 0),
    ("gguf", 1),
    ("quant", 2),
    ("kernels", 3),
    ("cache", 4),
    ("model", 5),
    ("sample", 5),
    ("speculate", 5),
    ("tokenizer", 5),
    ("chat", 6),
    ("constrain", 6),
    ("plan", 6),
    ("session", 7),
];

fn height(module: &str) -> Option<u32> {
    HEIGHTS.iter().find(|row| row.0 == module).map(|row| row.1)
}

fn sources(dir: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The first segments of every `crate::…` path in `line`, `crate::{a::…, b}` included.
fn imported(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut out = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => out.extend(list.split(',').map(|item| word(item.trim()))),
            None => out.push(word(rest)),
        }
    }
    out
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut checked, mut upward) = (0, Vec::new());
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src");
        let top = relative.components().next().expect("a component");
        let module = top.as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let own = height(&module).unwrap_or_else(|| panic!("{module} has no height in HEIGHTS"));
        let text = std::fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for name in imported(line) {
                let Some(theirs) = height(&name) else {
                    continue;
                };
                checked += 1;
                if name != module && theirs >= own {
                    upward.push(format!("{}:{}: {line}", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(
        checked > 50,
        "only {checked} imports found: the scan is broken"
    );
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn the_scan_sees_an_upward_import() {
    assert_eq!(imported("use crate::session::Event;"), ["session"]);
    assert_eq!(
        imported("use crate::{error::Result, gguf};"),
        ["error", "gguf"]
    );
    assert_eq!(
        imported("fn f(x: crate::cache::KvCache) {} // crate::model"),
        ["cache"]
    );
}
