//! `pocketlm chat`: a conversation at the terminal, or line by line from a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlm::{FinishReason, GenerateOptions, LocalModel, ModelSession, SessionOptions, Usage};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::chat_commands::{self, ChatCommand};
use crate::generation::GenerationArgs;
use crate::interrupt::{self, Interrupted};
use crate::output::{self, Output};
use crate::saved_chat::{SavedChat, SavedChatArgs};
use crate::tools::ToolArgs;
use crate::{Globals, answer, fetch, model_choice};

/// Arguments of `pocketlm chat`.
#[derive(Args)]
pub struct ChatArgs {
    /// A GGUF file, or a name from `pocketlm catalogue` [default: the default model]
    model: Option<String>,
    /// Instructions for the model, as a system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    saved: SavedChatArgs,
    #[command(flatten)]
    tools: ToolArgs,
    #[command(flatten)]
    generation: GenerationArgs,
}

/// Talks until the input ends or the user leaves.
pub fn command(args: &ChatArgs, globals: &Globals, out: &mut Output) -> Result<()> {
    let saved = args.saved.open()?;
    interrupt::install()?;
    let model = model_choice::load(args.model.as_deref(), globals)?;
    let mut chat = Chat {
        session: saved.session(&model, options(args.system.clone(), &args.tools)?)?,
        saved,
        model,
        system: args.system.clone(),
        options: args.generation.options(globals)?,
        tools: args.tools.clone(),
        last: None,
    };
    let mut input = Input::new()?;
    if let Input::Terminal { .. } = input {
        eprintln!("Type a message; /help shows the commands.");
    }
    while let Some(line) = input.next()? {
        if line.trim().is_empty() {
            continue;
        }
        match ChatCommand::parse(&line) {
            Some(Ok(ChatCommand::Quit)) => break,
            Some(Ok(command)) => chat.obey(command)?,
            Some(Err(mistake)) => eprintln!("{mistake}"),
            None => match chat.say(&line, out) {
                // A person can go on after an error, with /reset if need be; a script cannot see it.
                Err(error) if input.is_terminal() && !output::is_broken_pipe(&error) => {
                    output::report(&error)
                }
                other => other?,
            },
        }
    }
    Ok(())
}

/// A conversation.
struct Chat {
    model: LocalModel,
    saved: SavedChat,
    session: ModelSession,
    system: Option<String>,
    options: GenerateOptions,
    tools: ToolArgs,
    last: Option<Usage>,
}

fn options(system: Option<String>, tools: &ToolArgs) -> Result<SessionOptions> {
    Ok(SessionOptions {
        instructions: system,
        tools: tools.tools()?,
        max_tool_rounds: tools.rounds(),
        ..SessionOptions::default()
    })
}

impl Chat {
    fn say(&mut self, line: &str, out: &mut Output) -> Result<()> {
        let answer = answer::answer(&self.session, line, &self.options, out)?;
        match answer.finish {
            FinishReason::Cancelled => eprintln!("(stopped; this turn is forgotten)"),
            FinishReason::MaxTokens => eprintln!("(cut off at the token limit)"),
            FinishReason::ContextFull => {
                eprintln!("(cut off: the context is full; /reset starts again)")
            }
            FinishReason::ToolLimit => {
                eprintln!("(stopped: too many rounds of tool calls; --tool-rounds allows more)")
            }
            _ => {}
        }
        self.last = Some(answer.usage);
        self.saved.save(&self.session)
    }

    fn obey(&mut self, command: ChatCommand) -> Result<()> {
        match command {
            ChatCommand::Help => eprintln!("{}", chat_commands::help()),
            ChatCommand::Reset => self.restart(self.system.clone())?,
            ChatCommand::System(text) => self.restart((!text.is_empty()).then_some(text))?,
            ChatCommand::Stats => match &self.last {
                Some(usage) => eprintln!("{}", answer::usage_line(usage)),
                None => eprintln!("there is no answer yet"),
            },
            ChatCommand::Quit => {}
        }
        Ok(())
    }

    fn restart(&mut self, system: Option<String>) -> Result<()> {
        let options = options(system.clone(), &self.tools)?;
        self.session = self.model.session(options)?;
        self.system = system;
        eprintln!("(new conversation)");
        Ok(())
    }
}

/// Where messages come from.
enum Input {
    /// A person, with line editing and a history that outlives the program.
    Terminal {
        editor: Box<DefaultEditor>,
        history: Option<PathBuf>,
    },
    /// A pipe or file: a message in each line, no prompts.
    Lines(io::Lines<io::StdinLock<'static>>),
}

impl Input {
    fn new() -> Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Lines(io::stdin().lock().lines()));
        }
        let mut editor = DefaultEditor::new().context("cannot use this terminal")?;
        // A history that cannot be read or written is no reason not to talk.
        let history = fetch::cache_folder().ok().and_then(|folder| {
            std::fs::create_dir_all(&folder).ok()?;
            Some(folder.join("history.txt"))
        });
        if let Some(path) = &history {
            let _ = editor.load_history(path);
        }
        Ok(Self::Terminal {
            editor: Box::new(editor),
            history,
        })
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// The next line, or `None` at the end of the input.
    fn next(&mut self) -> Result<Option<String>> {
        match self {
            Self::Lines(lines) => lines
                .next()
                .transpose()
                .context("cannot read standard input"),
            Self::Terminal { editor, history } => {
                let mut interrupted = false;
                loop {
                    match editor.readline("> ") {
                        Ok(line) => {
                            let _ = editor.add_history_entry(&line);
                            if let Some(path) = history {
                                let _ = editor.save_history(path);
                            }
                            return Ok(Some(line));
                        }
                        Err(ReadlineError::Eof) => return Ok(None),
                        Err(ReadlineError::Interrupted) if interrupted => bail!(Interrupted),
                        Err(ReadlineError::Interrupted) => {
                            interrupted = true;
                            eprintln!("(Ctrl-C once more, or /quit, leaves)");
                        }
                        Err(error) => return Err(error).context("cannot read the terminal"),
                    }
                }
            }
        }
    }
}
