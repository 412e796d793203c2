//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use api::RouteQuery;
use clap::{Args as Group, Parser, Subcommand};
use ipnet::IpNet;

/// Configures a router that qfp-client runs, and shows what it does.
///
/// Exit status: 0 done, 1 failed, 2 bad arguments or refused configuration, 3 not found, 4 no router
/// there.
#[derive(Debug, Parser)]
#[command(name = "qfpctl", version)]
pub(crate) struct Args {
    /// The run directory of the router
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put a configuration in force, with all files that it names as they are now
    Commit {
        file: PathBuf,
        /// Take it back after this many seconds, unless `confirm` comes first
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        confirmed: Option<u32>,
        /// Say whether it could be put in force, and change nothing
        #[arg(long, conflicts_with = "confirmed")]
        check: bool,
    },
    /// Keep the configuration of `commit --confirmed`
    Confirm {
        /// Its number, from another session than the one that committed it
        number: Option<u64>,
    },
    /// Put the configuration of N commits ago in force again
    Rollback {
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        back: u32,
    },
    /// Show something
    #[command(subcommand)]
    Show(Show),
    /// Replace a process of the router by one of its program as it is now, while packets flow
    #[command(subcommand)]
    Upgrade(Upgrade),
    /// Add a port to the running configuration, or take one out of it
    #[command(subcommand)]
    Port(Port),
    /// Change routes that neither the configuration nor a protocol has
    #[command(subcommand)]
    Route(Route),
    /// Change many routes
    #[command(subcommand)]
    Routes(Routes),
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Upgrade {
    /// The data plane, which has a process of its own
    Ucode,
    /// qfp-client, while a data plane of its own process forwards
    Client,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Port {
    /// Add one, behind the others
    Add {
        name: String,
        /// Its device, as in `device`
        #[arg(value_name = "SPEC")]
        device: String,
    },
    /// Take one out
    Del { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// The running configuration as one TOML text, without keys
    Config {
        #[command(subcommand)]
        what: Option<ShowConfig>,
    },
    /// Configurations that there are to go back to
    History,
    /// Processes of the router
    Processes,
    /// Stages of its start
    Boot,
    /// What the control plane keeps
    #[command(subcommand)]
    Client(ShowClient),
    /// Routes: all, those of a prefix, or those that lead to an address
    Routes {
        #[arg(value_name = "PREFIX", value_parser = query)]
        which: Option<RouteQuery>,
    },
    /// Counts
    Statistics,
    /// Interfaces
    Interfaces,
    /// Neighbours whose MAC addresses are known
    Neighbours,
    /// Programs that get packets of the slow path
    Applications,
    /// Interfaces that are ports by `[discover]`
    InterfaceMapping,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ShowConfig {
    /// How it differs from the one of N commits ago
    Diff {
        #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        back: u32,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ShowClient {
    /// Resource managers: what is in use
    Rm,
    /// Execution agents: objects in the tables
    Ea,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// Add a path
    Add(Path),
    /// Remove a path
    Del(Path),
}

/// A path of a route.
#[derive(Debug, Group)]
pub(crate) struct Path {
    pub(crate) prefix: IpNet,
    /// `via ADDRESS [dev NAME] [vrf NAME]`
    #[arg(value_name = "via ADDRESS", num_args = 2..=6, required = true)]
    words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Routes {
    /// Give each prefix of a route file the paths that it has there
    Load { file: PathBuf },
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Via {
    pub(crate) address: IpAddr,
    pub(crate) dev: Option<String>,
    pub(crate) vrf: Option<String>,
}

impl Path {
    /// What the words say; none if they say nothing.
    pub(crate) fn via(&self) -> Option<Via> {
        let mut words = self.words.chunks_exact(2);
        let [word, address] = words.next()? else { return None };
        let address = address.parse().ok().filter(|_| word == "via")?;
        let mut via = Via { address, dev: None, vrf: None };
        for pair in words.by_ref() {
            let place = match pair[0].as_str() {
                "dev" => &mut via.dev,
                "vrf" => &mut via.vrf,
                _ => return None,
            };
            if place.replace(pair[1].clone()).is_some() {
                return None;
            }
        }
        words.remainder().is_empty().then_some(via)
    }
}

/// A prefix, or an address whose route is wanted.
fn query(text: &str) -> Result<RouteQuery, NotPrefix> {
    if let Ok(address) = IpAddr::from_str(text) {
        return Ok(RouteQuery::Longest(address));
    }
    IpNet::from_str(text).map(RouteQuery::Exact).map_err(|_| NotPrefix)
}

#[derive(Debug, thiserror::Error)]
#[error("neither a prefix nor an address")]
struct NotPrefix;

#[cfg(test)]
mod tests {
    use terminal::arguments::one_line;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(format!("qfpctl --run-dir d {line}").split_whitespace())
    }

    #[test]
    fn every_command_is_read() {
        for line in [
            "commit a.toml --confirmed 5",
            "commit a.toml --check",
            "confirm",
            "confirm 7",
            "rollback 2",
            "show config",
            "show config diff 3",
            "show config diff",
            "show history --json",
            "show processes",
            "show boot",
            "show client rm",
            "show client ea",
            "--json show statistics",
            "show interfaces",
            "show neighbours",
            "show applications",
            "show interface-mapping",
            "show routes",
            "show routes 10.0.0.0/8",
            "route add 10.0.0.0/8 via 192.0.2.1",
            "routes load r.zst",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn mistakes_are_one_line() {
        for line in [
            "",
            "commit",
            "commit a --confirmed 0",
            "commit a --check --confirmed 1",
            "rollback 0",
            "show routes 10",
            "route add 10.0.0.0/8",
            "upgrade",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr() || line.is_empty(), "{line}");
            assert!(!one_line(&error).contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_path_is_what_its_words_say() {
        let via = |line: &str| match parse(&format!("route del 10.0.0.0/8 {line}")).unwrap().command
        {
            Command::Route(Route::Del(path)) => path.via(),
            _ => None,
        };
        let address = "192.0.2.1".parse().unwrap();
        let (dev, vrf) = (Some("east".to_owned()), Some("RED".to_owned()));
        assert_eq!(via("via 192.0.2.1"), Some(Via { address, dev: None, vrf: None }));
        assert_eq!(via("via 192.0.2.1 vrf RED dev east"), Some(Via { address, dev, vrf }));
        for wrong in ["dev east", "via 192.0.2.1 dev", "via x", "via 192.0.2.1 dev a dev b"] {
            assert_eq!(via(wrong), None, "{wrong}");
        }
    }
}
