//! Command lines, right and wrong.

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

/// The arguments of this process; none when help was asked for, which has been printed.
///
/// # Errors
/// What is wrong with an argument, as one line.
pub fn from_command_line<A: Parser>() -> Result<Option<A>, String> {
    match A::try_parse() {
        Ok(args) => Ok(Some(args)),
        Err(error) if error.use_stderr() => Err(one_line(&error)),
        Err(error) => {
            // Whoever asked for help and does not listen needs none.
            drop(error.print());
            Ok(None)
        }
    }
}

/// Says in one line what is wrong with the arguments.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let what = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(argument)) => format!("unexpected argument '{argument}'"),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    };
    let what = what.lines().next().unwrap_or_default();
    format!("{what}; see --help")
}
