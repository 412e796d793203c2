//! Command lines that are wrong.

use clap::error::{ContextKind, ErrorKind};

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
