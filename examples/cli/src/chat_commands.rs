//! What can be typed in a chat besides messages: lines that start with `/`.

/// A command of the chat.
#[derive(Debug, PartialEq, Eq)]
pub enum ChatCommand {
    /// Show the commands.
    Help,
    /// Forget the conversation.
    Reset,
    /// Forget the conversation and set new instructions; empty removes them.
    System(String),
    /// Show what the last answer cost.
    Stats,
    /// Leave.
    Quit,
}

/// A row of the table that parsing and help come from.
struct Row {
    names: &'static [&'static str],
    argument: &'static str,
    help: &'static str,
    make: fn(String) -> ChatCommand,
}

const TABLE: &[Row] = &[
    Row {
        names: &["/help", "/?"],
        argument: "",
        help: "show this",
        make: |_| ChatCommand::Help,
    },
    Row {
        names: &["/reset"],
        argument: "",
        help: "start a new conversation",
        make: |_| ChatCommand::Reset,
    },
    Row {
        names: &["/system"],
        argument: "TEXT",
        help: "start a new conversation with these instructions",
        make: ChatCommand::System,
    },
    Row {
        names: &["/stats"],
        argument: "",
        help: "tokens and speed of the last answer",
        make: |_| ChatCommand::Stats,
    },
    Row {
        names: &["/quit", "/exit"],
        argument: "",
        help: "leave (so does Ctrl-D)",
        make: |_| ChatCommand::Quit,
    },
];

impl ChatCommand {
    /// The command a line holds: `None` when it is a message, an error text when it is an unknown
    /// command or has an argument too many.
    pub fn parse(line: &str) -> Option<Result<Self, String>> {
        let line = line.trim();
        if !line.starts_with('/') {
            return None;
        }
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let row = TABLE.iter().find(|row| row.names.contains(&name));
        Some(match row {
            None => Err(format!("there is no command {name}: /help shows them")),
            Some(row) if row.argument.is_empty() && !argument.is_empty() => {
                Err(format!("{name} takes no argument"))
            }
            Some(row) => Ok((row.make)(argument.trim().to_string())),
        })
    }
}

/// The commands, a line each.
pub fn help() -> String {
    let mut text = String::new();
    for row in TABLE {
        let usage = format!("{} {}", row.names.join(", "), row.argument);
        text.push_str(&format!("{usage:<16} {}\n", row.help));
    }
    text + "Ctrl-C           stop the answer; at the prompt, twice, leave"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_and_is_in_the_help() {
        for name in TABLE.iter().flat_map(|row| row.names) {
            assert!(matches!(ChatCommand::parse(name), Some(Ok(_))), "{name}");
            assert!(help().contains(name), "{name}");
        }
    }

    #[test]
    fn messages_arguments_and_mistakes_are_told_apart() {
        let system = |text: &str| Some(Ok(ChatCommand::System(text.into())));
        assert_eq!(ChatCommand::parse("hello /help"), None);
        assert_eq!(
            ChatCommand::parse(" /system  Be brief. "),
            system("Be brief.")
        );
        assert_eq!(ChatCommand::parse("/system"), system(""));
        assert!(matches!(ChatCommand::parse("/reset now"), Some(Err(_))));
        assert!(matches!(ChatCommand::parse("/nothing"), Some(Err(_))));
    }
}
