//! The program `qfp-ucode`: a data plane in a process of its own. Who starts it talks to it through
//! what is its standard input. It keeps no rights of its starter's.

use std::os::fd::AsFd;
use std::process::ExitCode;

use pal::rights::Rights;
use pal::seqpacket::SeqPacket;

fn main() -> ExitCode {
    // Without one of its threads it is none: it ends, with the reason in its last line, and another one
    // takes its place.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{}", panic.to_string().replace('\n', " "));
        std::process::abort();
    }));
    let line = std::io::stdin().as_fd().try_clone_to_owned();
    let served = line.and_then(|line| ucode::serve(SeqPacket::from_fd(line), Rights::confine));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
