//! A program beside the router: what the router punts for one port goes to a TAP device, and what the
//! kernel sends there is put in and routed.
//!
//! ```text
//! tap_app RUN_DIR TAP [CAUSE]        such as: tap_app /run/qfp app0 Ipv4ForUs
//! ```
#![expect(clippy::print_stderr, reason = "a program says what went wrong")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use api::{Application, Target, Wanted};
use qfp::hal::handover::Kept;
use qfp::hal::{PortConfig, Spec};
use rustix::event::{PollFd, PollFlags, poll};

/// Ethernet header of what goes to the TAP: to all, from nobody in particular, IPv4.
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0];

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some((dir, tap)) = words.next().map(PathBuf::from).zip(words.next()) else {
        eprintln!("usage: tap_app RUN_DIR TAP [CAUSE]");
        return ExitCode::from(2);
    };
    match run(&dir, &tap, words.next()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tap_app: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &std::path::Path, tap: &str, cause: Option<String>) -> Done {
    // The first of its descriptors is the one that frames are read from and written to.
    let kept = Kept::open(Spec::parse(&format!("tap:{tap}"))?, &PortConfig::default())?;
    let (_, descriptors) = kept.hand()?;
    let tap = File::from(descriptors.into_iter().next().ok_or("the TAP has no descriptor")?);

    let wanted = Wanted { cause, ..Wanted::default() };
    let mut application = Application::register(dir, "tap_app", wanted)?;
    let (mut injector, from_kernel) = (application.injector()?, tap.try_clone()?);
    std::thread::spawn(move || -> Result<(), api::CallError> {
        let mut frame = [0; 2048];
        while let Ok(length) = next(&from_kernel, &mut frame) {
            // IPv4 is routed; what else a kernel says of itself is left alone.
            if frame[12..14] == [8, 0] && length > 14 {
                injector.inject(Target::Routes(None), frame[14..length].to_vec())?;
            }
        }
        Ok(())
    });
    let mut to_kernel = &tap;
    while let Some(punted) = application.receive()? {
        // A TAP that is down or full takes none.
        drop(to_kernel.write(&[&HEADER, punted.packet()].concat()));
    }
    Ok(())
}

/// Waits for a frame; its length.
fn next(mut tap: &File, frame: &mut [u8]) -> std::io::Result<usize> {
    loop {
        poll(&mut [PollFd::new(tap, PollFlags::IN)], None)?;
        match tap.read(frame) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}
