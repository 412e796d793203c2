//! The program `qfp-client`.

fn main() -> std::process::ExitCode {
    daemon::main()
}
