//! What `qfpctl` says and how it ends where there is no router.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Status and errors of the program.
fn run(line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qfpctl"));
    let output = command.args(line.split_whitespace()).output().unwrap();
    assert!(output.stdout.is_empty(), "{line}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_words_and_no_router_are_one_line_and_a_status_each() {
    let cases = [
        ("show history", 2, "required"),
        ("--run-dir /nowhere", 2, "command"),
        ("--run-dir /nowhere shew history", 2, "shew"),
        ("--run-dir /nowhere rollback none", 2, "none"),
        ("--run-dir /nowhere commit --confirmed 0 a.toml", 2, "0"),
        ("--run-dir /nowhere show history", 4, "/nowhere"),
    ];
    for (line, expected, word) in cases {
        let (status, text) = run(line);
        assert_eq!((status, text.lines().count()), (Some(expected), 1), "{line}: {text}");
        assert!(text.contains(word), "{line}: {text}");
    }
}
