use super::{Config, Origin, Place, Port};

impl Config {
    /// Gives ports their devices from the command line: SPEC number i is for `portI`.
    ///
    /// That is the port of this name, else the i-th port of the file if it has a name of its own,
    /// else a new one with default settings. What the command line says goes before the file.
    pub fn merge_ports(&mut self, specs: &[String]) {
        for (index, spec) in specs.iter().enumerate() {
            let name = Port::default_name(index);
            let place = match self.ports.iter().position(|port| port.name == name) {
                Some(place) => place,
                None if self.ports.get(index).is_some_and(|port| !is_default_name(&port.name)) => {
                    index
                }
                None => {
                    let file = format!("--port {spec}").into();
                    let origin = Origin::new(Place::new(&file, 0));
                    self.ports.push(Port { origin, ..Port::new(name) });
                    self.ports.len() - 1
                }
            };
            self.ports[place].device = Some(spec.clone());
        }
    }
}

/// True for `port0`, `port1` and so on: names that stand for a number.
fn is_default_name(name: &str) -> bool {
    name.strip_prefix("port")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(names: &[(&str, Option<&str>)], specs: &[&str]) -> Vec<(String, Option<String>)> {
        let mut config = Config::default();
        for (name, device) in names {
            config.ports.push(Port { device: device.map(str::to_owned), ..Port::new(*name) });
        }
        config.merge_ports(&specs.iter().map(|spec| (*spec).to_owned()).collect::<Vec<_>>());
        config.ports.into_iter().map(|port| (port.name, port.device)).collect()
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        pairs.iter().map(|(n, d)| ((*n).to_owned(), Some((*d).to_owned()))).collect()
    }

    #[test]
    fn ports_without_a_file_come_from_the_command_line() {
        assert_eq!(
            merged(&[], &["sink", "tap:a"]),
            named(&[("port0", "sink"), ("port1", "tap:a")])
        );
    }

    #[test]
    fn a_spec_goes_to_the_port_of_its_number_wherever_it_stands() {
        let ports = merged(&[("port1", None), ("port0", None)], &["a", "b"]);
        assert_eq!(ports, named(&[("port1", "b"), ("port0", "a")]));
    }

    #[test]
    fn a_port_with_a_name_of_its_own_takes_the_spec_of_its_position() {
        let ports = merged(&[("wan", None), ("lan", Some("tap:lan"))], &["a"]);
        assert_eq!(ports, named(&[("wan", "a"), ("lan", "tap:lan")]));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let ports = merged(&[("port0", Some("sink"))], &["tap:a", "tap:b"]);
        assert_eq!(ports, named(&[("port0", "tap:a"), ("port1", "tap:b")]));
    }
}
