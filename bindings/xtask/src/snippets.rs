//! The pieces of Swift code in the documentation, as a package that compiles them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The pages with code.
const PAGES: &[&str] = &["docs/swift.md", "swift/README.md"];

/// On the line before a piece: it needs an Apple system, and is not compiled elsewhere.
const APPLE: &str = "<!-- needs an Apple system -->";

/// What the package looks like.
const MANIFEST: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Snippets",
    dependencies: [.package(name: "PocketLM", path: "WORKSPACE/swift")],
    targets: [.target(name: "Snippets", dependencies: ["PocketLM"])],
    swiftLanguageModes: [.v6]
)
"#;

/// Writes a package into `folder` with every piece of code of the pages, and returns their number.
///
/// # Errors
/// When a page cannot be read or has no code, or a file cannot be written.
pub fn write(workspace: &Path, folder: &Path) -> Result<usize> {
    let sources = folder.join("Sources").join("Snippets");
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    fs::create_dir_all(&sources)?;
    let manifest = MANIFEST.replace("WORKSPACE", &workspace.display().to_string());
    fs::write(folder.join("Package.swift"), manifest)?;
    let mut count = 0;
    for page in PAGES {
        let text = fs::read_to_string(workspace.join(page)).with_context(|| (*page).to_string())?;
        let pieces = pieces(&text);
        ensure!(!pieces.is_empty(), "{page} has no code");
        for (line, code) in pieces {
            count += 1;
            let file = sources.join(format!("Snippet{count}.swift"));
            fs::write(file, source(page, line, count, &code))?;
        }
    }
    Ok(count)
}

/// The pieces of a page that are compiled, with the lines that they begin on.
fn pieces(text: &str) -> Vec<(usize, String)> {
    let mut pieces = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line == "```swift" && before != APPLE => {
                open = Some((number + 2, String::new()))
            }
            None => before = line,
            Some(_) if line == "```" => pieces.extend(open.take()),
            Some((_, code)) => {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    pieces
}

/// A source file of a piece: imports and types stay outside, statements go into a function, which
/// has what an app has.
fn source(page: &str, line: usize, number: usize, code: &str) -> String {
    let is_import = |line: &&str| line.starts_with("import ");
    let mut text = String::from("import Foundation\nimport PocketLM\n");
    for import in code.lines().filter(is_import) {
        let _ = writeln!(text, "{import}");
    }
    let _ = write!(
        text,
        "\nfunc snippet{number}(model: LocalModel, session: ModelSession, file: URL, prompt: String) \
         async throws {{\n#sourceLocation(file: \"{page}\", line: {line})\n"
    );
    for line in code.lines() {
        // Line numbers stay those of the page.
        let _ = writeln!(text, "{}", if is_import(&line) { "" } else { line });
    }
    text.push_str("#sourceLocation()\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Page

```swift
import PocketLM

let a = 1
```

<!-- needs an Apple system -->
```swift
let view = 2
```

```sh
swift build
```

```swift
let b = 3
```
";

    #[test]
    fn pieces_are_found_with_their_lines() {
        let pieces = pieces(PAGE);
        assert_eq!(
            pieces,
            [
                (4, "import PocketLM\n\nlet a = 1\n".to_string()),
                (19, "let b = 3\n".to_string())
            ]
        );
    }

    #[test]
    fn statements_are_in_a_function_and_lines_stay() {
        let text = source("docs/page.md", 4, 7, "import SwiftUI\n\nlet a = 1\n");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"import SwiftUI"));
        let at = lines.iter().position(|line| line.contains("line: 4"));
        assert_eq!(
            at.map(|at| &lines[at + 1..at + 4]),
            Some(&["", "", "let a = 1"][..])
        );
        assert!(text.contains("func snippet7("));
    }
}
