//! Ends of the daemon in the middle of commits: the next start has the configuration that was
//! confirmed last, whole.
//!
//! `QFP_CRASHES` is the number of ends; 500 of them are in `make nightly`.

#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a rig that cannot be built is a failed test"
)]
mod support;

use std::os::unix::process::ExitStatusExt;

use api::Call;
use support::Daemon;

/// How a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Plain,
    /// Confirmed at once.
    Confirmed,
    /// Taken back at once.
    Ended,
}

/// Points in the middle of commits, and whether the new configuration is that of the next start.
const POINTS: [(&str, How, bool); 13] = [
    ("written", How::Plain, false),
    ("renamed", How::Plain, false),
    ("saved", How::Plain, false),
    ("applied", How::Plain, false),
    ("running-written", How::Plain, false),
    ("running-renamed", How::Plain, true),
    ("confirmed", How::Plain, true),
    ("applied", How::Confirmed, false),
    ("running-written", How::Confirmed, false),
    ("running-renamed", How::Confirmed, true),
    ("confirmed", How::Confirmed, true),
    ("renamed", How::Ended, false),
    ("back", How::Ended, false),
];

#[test]
fn whenever_it_ends_the_next_start_has_what_was_confirmed_last() {
    let crashes = std::env::var("QFP_CRASHES").map_or(50, |count| count.parse().unwrap());
    let mut daemon = Daemon::start();
    let mut confirmed = daemon.config();
    let mut ends = POINTS.into_iter().cycle();
    for n in 0..crashes {
        let (point, how, is_new) = ends.next().unwrap();
        daemon.signal(rustix::process::Signal::KILL);
        daemon.ended();
        daemon.again(Some(point));
        assert_eq!(daemon.config(), confirmed, "{n}: before {point}");
        assert!(daemon.history()[0].until.is_none());
        // The list that it names is another one every time, and goes with it.
        let list = format!("{} remark {n}\n", support::FILTER);
        std::fs::write(daemon.dir.path().join("filter.txt"), list).unwrap();
        let neighbour = format!("10.3.0.{}", 3 + n % 250);
        let path = daemon.write("next.toml", &[("10.3.0.2", &neighbour)]);
        let (candidate, config) = api::Candidate::read(&path).unwrap();
        let seconds = (how != How::Plain).then_some(600);
        let mut connection = daemon.connect();
        let mut done = connection.call(Call::Commit { candidate, confirmed: seconds });
        if done.is_ok() {
            done = match how {
                How::Plain => done,
                How::Confirmed => connection.call(Call::Confirm { number: None }),
                How::Ended => connection.call(Call::Rollback { back: 1 }),
            };
        }
        assert!(done.is_err(), "{n}: {point} was not reached: {done:?}");
        assert_eq!(daemon.ended().signal(), Some(9), "{}", daemon.log());
        if is_new {
            confirmed = config.to_string();
        }
        daemon.again(None);
        assert_eq!(daemon.config(), confirmed, "{n}: after {point} ({how:?})");
        let kept = std::fs::read_dir(daemon.run_dir().join("config")).unwrap().count();
        assert_eq!(kept, daemon.history().len() + 1, "{n}: {point} has left something");
    }
}
