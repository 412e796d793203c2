//! The command line.

use std::path::PathBuf;

use clap::Parser;
use qfp::pal::lcore::CpuList;

/// Runs a router in the foreground until SIGTERM. qfpctl configures it and shows what it does.
///
/// The first start in a run directory uses --config and --routes. Every later one uses the
/// configuration that was confirmed last, which the run directory keeps, and says so; SIGHUP commits
/// --config and --routes as they are then.
#[derive(Debug, Parser)]
#[command(name = "qfp-client", version)]
pub(crate) struct Args {
    /// Ports, addresses, routes and neighbours, as TOML
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: PathBuf,
    /// More routes, plain or zstd, each line `PREFIX via ADDRESS [dev NAME]`
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,
    /// Where sockets and configurations are kept; no other router may have it
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: PathBuf,
    /// CPUs to forward on, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = CpuList::parse)]
    pub(crate) lcores: Option<CpuList>,
    /// The program `qfp-ucode` of the same build: forward in a process of its own, which is started
    /// again when it dies, and forwards on when this one does
    #[arg(long, value_name = "PATH")]
    pub(crate) ucode: Option<PathBuf>,
    /// How long that one forwards on without this one; for ever if it is not said
    #[arg(long, value_name = "SECONDS", requires = "ucode")]
    pub(crate) alone: Option<u64>,
    /// Whose process that is, by name or number: root's own only if this says so. Without it that of
    /// the user `qfp-ucode`, else of `nobody`; started by another user than root, of that user
    #[arg(long, value_name = "USER", requires = "ucode")]
    pub(crate) ucode_user: Option<String>,
    /// Whose members may look, and change nothing
    #[arg(long, value_name = "GROUP")]
    pub(crate) read_group: Option<String>,
    /// Arguments for DPDK's EAL
    #[arg(last = true, value_name = "EAL args")]
    pub(crate) eal: Vec<String>,
}

#[cfg(test)]
mod tests {
    use terminal::arguments::one_line;

    use super::*;

    #[test]
    fn every_option_is_read_and_what_must_be_there_is_asked_for() {
        let parse = |line: &str| Args::try_parse_from(line.split_whitespace());
        let args = parse(
            "qfp-client --config c.toml --routes r.zst --run-dir d --lcores 0,2-3 --read-group adm \
             --ucode u --ucode-user 7 -- --no-huge",
        )
        .unwrap();
        assert_eq!((args.lcores.unwrap().cpus().len(), args.eal.len()), (3, 1));
        assert_eq!(args.read_group.as_deref(), Some("adm"));
        assert_eq!(args.ucode_user.as_deref(), Some("7"));
        let error = one_line(&parse("qfp-client --config c.toml").unwrap_err());
        assert!(error.ends_with("; see --help"), "{error}");
    }
}
