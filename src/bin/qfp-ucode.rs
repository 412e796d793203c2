//! The program `qfp-ucode`: a data plane in a process of its own. Who starts it talks to it through
//! what is its standard input.

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let line = std::io::stdin().as_fd().try_clone_to_owned();
    let served = line.and_then(|line| ucode::serve(pal::seqpacket::SeqPacket::from_fd(line)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
