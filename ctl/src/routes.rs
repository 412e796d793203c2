//! Routes, of which there may be a million: asked for and changed in pieces.

use std::fmt::Write;

use api::{Call, Connection, Hop, Path, Reply, Route, RouteChange, RouteQuery, Status};

use crate::Failure;
use crate::command::json;

/// Routes in one request.
const PIECE: usize = 1 << 15;

/// Changes routes, a piece at a time: each of them whole or not at all. Returns how many there are.
pub(crate) fn load(to: &mut Connection, changes: &[RouteChange]) -> Result<usize, Failure> {
    for piece in changes.chunks(PIECE) {
        to.call(Call::ChangeRoutes(piece.to_vec()))?;
    }
    Ok(changes.len())
}

/// All routes of a query, as text. Those that change meanwhile may be missing or there twice.
pub(crate) fn show(
    to: &mut Connection,
    query: &RouteQuery,
    as_json: bool,
) -> Result<String, Failure> {
    let mut all: Vec<Route> = Vec::new();
    loop {
        let skip = all.len() as u64;
        let call = Call::Routes { query: query.clone(), skip, limit: u32::MAX };
        match to.call(call)? {
            Reply::Routes(piece) if piece.is_empty() => break,
            Reply::Routes(piece) => all.extend(piece),
            _ => break,
        }
    }
    if all.is_empty() && *query != RouteQuery::All {
        return Err(Failure::new(Status::NotFound, "there is no such route"));
    }
    if as_json {
        return json(&all);
    }
    let mut text = String::new();
    for route in &all {
        let vrf = route.vrf.as_deref().map_or_else(String::new, |vrf| format!(" vrf {vrf}"));
        let counts = if route.selected { '>' } else { ' ' };
        // Writing to a string cannot fail.
        let _ = write!(text, "{counts} {}{vrf} [{}]", route.prefix, route.source);
        for path in &route.paths {
            let _ = write!(text, " {}", of_path(path));
        }
        text.push('\n');
    }
    Ok(text)
}

fn of_path(path: &Path) -> String {
    let hop = match &path.hop {
        Hop::Via { address, interface: None } => format!("via {address}"),
        Hop::Via { address, interface: Some(name) } => format!("via {address} dev {name}"),
        Hop::OnLink(name) => format!("dev {name}"),
        Hop::Drop => "drop".to_owned(),
        Hop::Receive => "receive".to_owned(),
    };
    if path.weight > 1 { format!("{hop} weight {}", path.weight) } else { hop }
}
