//! One port more or fewer in the text of a configuration, which stays as it is otherwise.

use api::{Failure, Status};
use qfp::client::config::Port;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

fn refused(why: impl ToString) -> Failure {
    Failure::new(Status::Refused, why)
}

fn document(text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(refused)
}

/// The ports of `document`.
fn ports(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, Failure> {
    let ports = document.entry("port").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let ports = ports.as_array_of_tables_mut();
    ports.ok_or_else(|| refused("the ports are not tables [[port]]: commit another file"))
}

/// What a port is called: one without a name has its number's.
fn name(index: usize, port: &Table) -> String {
    let name = port.get("name").and_then(Item::as_str);
    name.map_or_else(|| Port::default_name(index), str::to_owned)
}

/// `text` with a port of that name and SPEC behind the others.
///
/// # Errors
/// There is one of that name.
pub(crate) fn add(text: &str, port: &str, spec: &str) -> Result<String, Failure> {
    let mut document = document(text)?;
    let ports = ports(&mut document)?;
    if ports.iter().enumerate().any(|(index, known)| name(index, known) == port) {
        return Err(refused(format_args!("there is a port {port} already")));
    }
    let mut table = Table::new();
    table.insert("name", value(port));
    table.insert("device", value(spec));
    ports.push(table);
    Ok(document.to_string())
}

/// `text` without the port of that name. Those behind it keep their names.
///
/// # Errors
/// There is none.
pub(crate) fn delete(text: &str, port: &str) -> Result<String, Failure> {
    let mut document = document(text)?;
    let ports = ports(&mut document)?;
    let found = ports.iter().enumerate().position(|(index, known)| name(index, known) == port);
    let Some(found) = found else {
        return Err(Failure::new(Status::NotFound, format_args!("there is no port {port}")));
    };
    for (index, behind) in ports.iter_mut().enumerate().skip(found + 1) {
        let name = name(index, behind);
        behind.entry("name").or_insert(value(name));
    }
    ports.remove(found);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The lab.\n[[port]] # to the left\ndevice = \"sink\"\n\n\
                        [[port]]\nname = \"b\"\n[[port.vlan]]\nid = 7\n\
                        [[port]]\ndevice = \"synth\" # loud\n\n# Ours.\n[punt]\nrecord_route = false\n";

    #[test]
    fn a_port_comes_behind_the_others_and_all_else_stays_as_it_was_written() {
        let text = add(TEXT, "new", "tap:t0,persist").unwrap();
        let own = "[[port]]\nname = \"new\"\ndevice = \"tap:t0,persist\"\n";
        assert!(text.contains(own), "{text}");
        let mut rest = text.replacen(own, "", 1);
        rest.retain(|c| c != '\n');
        assert_eq!(rest, TEXT.replace('\n', ""));
        assert_eq!(
            add("", "a", "sink").unwrap().trim(),
            "[[port]]\nname = \"a\"\ndevice = \"sink\""
        );
    }

    #[test]
    fn a_port_goes_with_its_sub_interfaces_and_those_behind_it_keep_their_names() {
        let text = delete(TEXT, "b").unwrap();
        assert!(!text.contains("vlan") && !text.contains("\"b\""), "{text}");
        assert!(text.contains("# The lab.") && text.contains("# to the left"), "{text}");
        assert!(text.contains("name = \"port2\"") && text.contains("# loud"), "{text}");
        assert!(text.contains("# Ours.\n[punt]\nrecord_route = false"), "{text}");
        let text = delete(&text, "port2").unwrap();
        assert!(!text.contains("synth") && text.contains("sink"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_one_line() {
        let refusals = [
            add(TEXT, "b", "sink"),
            add(TEXT, "port2", "sink"),
            add("port = [{ name = \"a\" }]", "b", "sink"),
            delete(TEXT, "c"),
        ];
        for refusal in refusals {
            let line = refusal.unwrap_err().to_string();
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}
