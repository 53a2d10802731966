//! `pocketlm download`: models into the models folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::catalogue::{self, Entry};
use crate::fetch;
use crate::model_choice::unknown_name;
use crate::output::Output;

/// Arguments of `pocketlm download`.
#[derive(Args)]
pub struct DownloadArgs {
    /// Names from `pocketlm catalogue` [default: the default model]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder to fetch into [default: the models folder]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Fetches what is not there yet, and prints where each model is.
pub fn command(args: &DownloadArgs, out: &mut Output) -> Result<()> {
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => fetch::models_folder()?,
    };
    let named: Result<Vec<&Entry>> = args.names.iter().map(|name| find(name)).collect();
    let mut entries = named?;
    if entries.is_empty() {
        entries.push(catalogue::default_entry());
    }
    for entry in entries {
        let path = fetch::fetch(entry, &folder)?;
        match out.json {
            true => out.json(&json!({ "name": entry.name, "path": path }))?,
            false => out.line(&path.display().to_string())?,
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Entry> {
    catalogue::find(name).ok_or_else(|| unknown_name(name))
}
