//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use qfp::client::config::{Config, ConfigError, RouteTable};
use qfp::explain::Probe;
use qfp::pal::lcore::CpuList;

/// Routes IPv4 and IPv6 packets between ports.
///
/// SPEC is pcap:rx=IN[,tx=OUT][,loop] | synth:size=64,flows=4096[,dst=FILE] | sink | tap:NAME |
/// packet:NAME | dpdk:NAME. The i-th SPEC is for portI.
#[derive(Debug, Parser)]
#[command(name = "l3fwd", version)]
pub(crate) struct Args {
    /// Ports, addresses, routes and neighbours, as TOML
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// A port to open; give it once for every port
    #[arg(long = "port", value_name = "SPEC")]
    pub(crate) ports: Vec<String>,
    /// More routes, plain or zstd, each line `PREFIX via ADDRESS [dev NAME]`
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,
    /// Write the final statistics here
    #[arg(long, value_name = "FILE")]
    pub(crate) stats_json: Option<PathBuf>,
    /// Stop after this time; fractions are allowed
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// CPUs to forward on, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = CpuList::parse)]
    pub(crate) lcores: Option<CpuList>,
    /// CPUs for crypto engines besides, which lcores hand ESP packets of tunnels
    #[arg(long, value_name = "LIST", value_parser = CpuList::parse)]
    pub(crate) crypto_lcores: Option<CpuList>,
    /// Run the data plane in a process of its own, which this program is: qfp-ucode
    #[arg(long, value_name = "PATH")]
    pub(crate) ucode: Option<PathBuf>,
    /// Trace this many packets through the steps
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=MOST_TRACED))]
    pub(crate) trace: u32,
    /// Report what of the classifier's tables is in use
    #[arg(long)]
    pub(crate) tcam: bool,
    /// Forward nothing; say what would become of a packet, such as
    /// "in=port0 src=10.0.0.1 dst=192.0.2.1 proto=tcp dport=22"; also sport, icmp=TYPE/CODE, dscp,
    /// len, ttl, flags=syn,ack, frag=first|later
    #[arg(long, value_name = "PACKET")]
    pub(crate) explain: Option<Probe>,
    /// Arguments for DPDK's EAL
    #[arg(last = true, value_name = "EAL args")]
    pub(crate) eal: Vec<String>,
}

impl Args {
    /// What to forward: the configuration with the ports of the command line, and the routes of
    /// the route file, all checked. `progress` is as in [`RouteTable::from_file`].
    ///
    /// # Errors
    /// The first thing that is wrong, as one line.
    pub(crate) fn configuration(
        &self,
        progress: impl FnMut(u64, u64),
    ) -> Result<(Config, RouteTable), ConfigError> {
        let config = self.config()?;
        let routes = self.routes.as_ref().map(|path| RouteTable::from_file(path, progress));
        let routes = routes.transpose()?.unwrap_or_default();
        routes.validate(&config)?;
        Ok((config, routes))
    }

    /// The configuration with the ports of the command line, checked.
    ///
    /// # Errors
    /// The first thing that is wrong, as one line.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let mut config =
            self.config.as_ref().map(Config::from_toml).transpose()?.unwrap_or_default();
        config.merge_ports(&self.ports);
        config.validate()?;
        Ok(config)
    }
}

/// Longest run, a hundred years: clocks end somewhere behind.
const LONGEST: Duration = Duration::from_secs(3_155_760_000);
/// Most packets that are traced: each keeps its frames at every step until the end.
const MOST_TRACED: i64 = 100_000;

fn seconds(text: &str) -> Result<Duration, SecondsError> {
    let seconds: f64 = text.parse().map_err(|_| SecondsError::NotNumber)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err(SecondsError::NotTime),
    }
}

#[derive(Debug, thiserror::Error)]
enum SecondsError {
    #[error("not a number of seconds")]
    NotNumber,
    #[error("not a time that one can wait for")]
    NotTime,
}

#[cfg(test)]
mod tests {
    use terminal::arguments::one_line;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("l3fwd").chain(line.split_whitespace()))
    }

    #[test]
    fn every_option_is_read() {
        let args = parse(
            "--config c.toml --port sink --port tap:a --routes r.zst --stats-json s.json \
             --seconds 0.25 --lcores 0,2-3 --crypto-lcores 1 --trace 5 --tcam -- --no-huge --vdev=net_null0",
        )
        .unwrap();
        assert!(args.tcam && args.explain.is_none());
        assert_eq!(args.ports, ["sink", "tap:a"]);
        assert_eq!(args.seconds, Some(Duration::from_millis(250)));
        assert_eq!(args.lcores.unwrap().cpus().len(), 3);
        assert_eq!(args.crypto_lcores.unwrap().cpus().len(), 1);
        assert_eq!((args.trace, args.eal.len()), (5, 2));
        assert!(parse("").unwrap().ports.is_empty());
    }

    #[test]
    fn every_mistake_is_one_line() {
        for (line, wanted) in [
            ("--foo", "unexpected argument '--foo'; see --help"),
            ("foo", "unexpected argument 'foo'; see --help"),
            ("-x", "unexpected argument '-x'; see --help"),
            ("--prt sink", "unexpected argument '--prt'; see --help"),
            ("--port", "a value is required for '--port <SPEC>' but none was supplied; see --help"),
            (
                "--seconds ten",
                "invalid value 'ten' for '--seconds <N>': not a number of seconds; see --help",
            ),
            (
                "--seconds=-1",
                "invalid value '-1' for '--seconds <N>': not a time that one can wait for; see --help",
            ),
            (
                "--seconds inf",
                "invalid value 'inf' for '--seconds <N>': not a time that one can wait for; see --help",
            ),
            (
                "--seconds 1e19",
                "invalid value '1e19' for '--seconds <N>': not a time that one can wait for; see --help",
            ),
            (
                "--seconds NaN",
                "invalid value 'NaN' for '--seconds <N>': not a time that one can wait for; see --help",
            ),
            (
                "--trace 100001",
                "invalid value '100001' for '--trace <N>': 100001 is not in 0..=100000; see --help",
            ),
            (
                "--seconds 0",
                "invalid value '0' for '--seconds <N>': not a time that one can wait for; see --help",
            ),
            (
                "--lcores 3-1",
                "invalid value '3-1' for '--lcores <LIST>': range \"3-1\" runs backwards; see --help",
            ),
            (
                "--trace many",
                "invalid value 'many' for '--trace <N>': invalid digit found in string; see --help",
            ),
            (
                "--explain in=port0",
                "invalid value 'in=port0' for '--explain <PACKET>': src is missing; see --help",
            ),
            (
                "--config a --config b",
                "the argument '--config <FILE.toml>' cannot be used multiple times; see --help",
            ),
        ] {
            assert_eq!(one_line(&parse(line).unwrap_err()), wanted, "{line}");
        }
        let newline = Args::try_parse_from(["l3fwd", "--a\nb"]).unwrap_err();
        assert!(!one_line(&newline).contains('\n'));
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in ["--help", "--version"] {
            assert!(!parse(line).unwrap_err().use_stderr(), "{line}");
        }
        let help = parse("--help").unwrap_err().to_string();
        let options = "--config --port --routes --stats-json --seconds --lcores --crypto-lcores --ucode --trace --tcam --explain [-- <EAL";
        assert!(options.split(' ').all(|option| help.contains(option)), "{help}");
    }

    #[test]
    fn a_run_without_ports_is_refused() {
        let error = parse("").unwrap().configuration(|_, _| ()).unwrap_err().to_string();
        assert!(error.starts_with("there is no port: give --port SPEC"), "{error}");
        let (config, routes) =
            parse("--port sink --port sink").unwrap().configuration(|_, _| ()).unwrap();
        assert_eq!((config.ports.len(), routes.len()), (2, 0));
    }
}
