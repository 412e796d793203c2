//! The program `qfpctl`.

fn main() -> std::process::ExitCode {
    ctl::main()
}
