//! From what the user typed to a loaded model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use pocketlm::{LoadOptions, LocalModel, Notice};

use crate::catalogue::{self, CATALOGUE};
use crate::{Globals, fetch};

/// The file that `model` means: a path, a name of the catalogue (fetched when it is not there), or
/// nothing for the default model.
///
/// # Errors
/// When there is no such file or name, or the model cannot be fetched.
pub fn resolve(model: Option<&str>) -> Result<PathBuf> {
    let entry = match model {
        None => catalogue::default_entry(),
        Some(model) => {
            let path = Path::new(model);
            if path.is_file() {
                return Ok(path.to_path_buf());
            }
            if path.is_dir() {
                bail!("{model} is a folder, not a model file");
            }
            match catalogue::find(model) {
                Some(entry) => entry,
                None if looks_like_path(path) => bail!("there is no file {model}"),
                None => return Err(unknown_name(model)),
            }
        }
    };
    fetch::fetch(entry, &fetch::models_folder()?)
}

/// The error for a name that is not in the catalogue: it lists those that are.
pub fn unknown_name(name: &str) -> anyhow::Error {
    let names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
    anyhow!(
        "there is no file and no known model {name} (known: {})",
        names.join(", ")
    )
}

fn looks_like_path(path: &Path) -> bool {
    path.components().count() > 1
        || path
            .extension()
            .is_some_and(|extension| extension == "gguf")
}

/// Loads the model, and shows the notices of loading on standard error.
///
/// # Errors
/// When it cannot be found, fetched or loaded.
pub fn load(model: Option<&str>, globals: &Globals) -> Result<LocalModel> {
    load_file(&resolve(model)?, globals)
}

/// Loads a model file, and shows the notices of loading on standard error.
///
/// # Errors
/// When it cannot be loaded.
pub fn load_file(path: &Path, globals: &Globals) -> Result<LocalModel> {
    let model = LocalModel::load(path, load_options(globals))
        .with_context(|| format!("cannot load {}", path.display()))?;
    model.notices().iter().for_each(show_notice);
    Ok(model)
}

/// How the user wants models to be loaded.
pub fn load_options(globals: &Globals) -> LoadOptions {
    LoadOptions {
        device: globals.device,
        threads: globals.threads,
        context: globals.context,
        cpu_level: globals.cpu_level,
        kv: globals.kv,
    }
}

/// Shows a notice of the library on standard error.
pub fn show_notice(notice: &Notice) {
    eprintln!("note: {notice}");
}
