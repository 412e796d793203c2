//! The program `l3fwd`.

fn main() -> std::process::ExitCode {
    l3fwd::main()
}
