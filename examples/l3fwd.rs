//! The program of the crate `l3fwd`, where `cargo run --example l3fwd` finds it.

fn main() -> std::process::ExitCode {
    l3fwd::main()
}
