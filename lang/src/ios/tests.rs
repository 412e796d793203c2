use proptest::prelude::*;

use qfp_core::wire::Family;

use super::*;

fn only(text: &str) -> Line<'_> {
    lines(text).next().expect("a line")
}

#[test]
fn lines_keep_their_number_and_indent() {
    let text = "!\n\nclass-map x\n  match any\r\n\t! comment\nend";
    let lines: Vec<_> = lines(text).map(|l| (l.number, l.indent(), l.text())).collect();
    assert_eq!(lines, [(3, 0, "class-map x"), (4, 2, "match any"), (6, 0, "end")]);
}

#[test]
fn columns_count_characters_from_one() {
    let line = only("\u{a0}été  b");
    let words: Vec<_> = line.words().iter().map(|word| (word.text, word.column)).collect();
    assert_eq!(words, [("été", 2), ("b", 7)]);
}

#[test]
fn keywords_have_any_case() {
    let line = only("Match DSCP ef");
    let mut words = line.cursor();
    words.expect("match").unwrap();
    assert!(words.take("dscp"));
    assert_eq!(words.number_or_name("a DSCP", 0..=63, names::DSCP).unwrap(), 46);
    words.end().unwrap();
}

#[test]
fn the_rest_is_taken_as_written() {
    let line = only(" remark  two  spaces ! and this  ");
    let mut words = line.cursor();
    words.expect("remark").unwrap();
    assert_eq!(words.rest(), "two  spaces ! and this");
    assert_eq!(words.rest(), "");
    words.end().unwrap();
}

#[test]
fn a_comment_ends_the_words() {
    let line = only("vlan 7 ! office");
    let mut words = line.cursor();
    words.expect("vlan").unwrap();
    assert_eq!(words.number("a VLAN", 1..=4094_u16).unwrap(), 7);
    words.end().unwrap();
    assert!(words.is_at_end());
}

#[test]
fn errors_point_at_the_word() {
    let line = only("set dscp 64 now");
    let mut words = line.cursor();
    assert_eq!(
        words.expect("match").unwrap_err().to_string(),
        "line 1, column 1: expected match, found \"set\""
    );
    words.expect("set").unwrap();
    words.expect("dscp").unwrap();
    assert_eq!(
        words.number_or_name("a DSCP", 0..=63, names::DSCP).unwrap_err().to_string(),
        "line 1, column 10: expected a DSCP (0 to 63), found \"64\""
    );
    let word = words.word("a word").unwrap();
    assert_eq!(
        words.end().unwrap_err().to_string(),
        "line 1, column 13: expected the end of the line, found \"now\""
    );
    assert_eq!(words.error_at(word, What::NotUtf8).column, 10);
    words.expect("now").unwrap();
    assert_eq!(
        words.word("a name").unwrap_err().to_string(),
        "line 1, column 16: expected a name, found the end of the line"
    );
}

#[test]
fn a_number_too_long_for_any_integer_is_out_of_bounds() {
    let line = only("99999999999999999999999999");
    let error = line.cursor().number("a port", 0..=u16::MAX).unwrap_err();
    assert!(error.to_string().contains("(0 to 65535), found \"99999"), "{error}");
    for not_number in ["-1", "+1", "1e3", "x"] {
        let line = only(not_number);
        assert!(line.cursor().number("a port", 0..=u16::MAX).is_err());
    }
}

#[test]
fn bytes_that_are_no_text_are_found() {
    assert_eq!(utf8(b"permit").unwrap(), "permit");
    let error = utf8(b"a\nb \xff").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 3: this is not UTF-8 text");
}

#[test]
fn a_long_word_is_cut_in_the_message() {
    let text = "é".repeat(1000);
    let line = only(&text);
    let error = line.cursor().expect("permit").unwrap_err().to_string();
    assert!(error.chars().count() < 130 && error.ends_with("\"..."), "{error}");
}

#[test]
fn each_name_stands_for_one_number() {
    fn unique<T>(table: &[(&str, T)]) {
        let mut names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
    unique(names::DSCP);
    unique(names::PRECEDENCE);
    unique(names::TOS);
    unique(names::PROTOCOLS);
    unique(names::TCP_PORTS);
    unique(names::UDP_PORTS);
    unique(names::icmp(Family::V4));
    unique(names::icmp(Family::V6));
    assert_eq!(names::name_of(names::TCP_PORTS, 514), Some("cmd"));
    assert_eq!(names::name_of(names::TCP_PORTS, 1), None);
}

proptest! {
    #[test]
    fn any_text_is_cut_into_its_words(text in "(\\PC|[ \t\r\n!])*") {
        for line in lines(&text) {
            let source = text.trim_start_matches('\u{feff}').lines().nth(line.number - 1).unwrap();
            let words: Vec<_> = line.words().iter().map(|word| word.text).collect();
            prop_assert_eq!(&words, &source.split_whitespace().collect::<Vec<_>>());
            for word in line.words() {
                let tail: String = source.chars().skip(word.column - 1).collect();
                prop_assert!(tail.starts_with(word.text));
            }
            prop_assert_eq!(line.cursor().rest(), source.trim());
        }
    }

    #[test]
    fn an_error_is_one_line(word in "\\PC+") {
        for line in lines(&word) {
            for what in [
                What::Extra(word.clone()),
                What::NotSupported(word.clone()),
                What::Twice(word.clone()),
                What::UnknownCommand(word.clone()),
            ] {
                prop_assert!(!line.cursor().error(what).to_string().contains('\n'));
            }
        }
    }
}
