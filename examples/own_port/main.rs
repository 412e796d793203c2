//! A port of your own: the program asks the router for its MAC address, and prints the answer.
//!
//! `cargo run --example own_port`

mod channel;

use qfp::Forwarder;
use qfp::client::config::Config;

use channel::Channel;

const CONFIG: &str = r#"
    [[port]]
    name = "own"
    address = ["192.0.2.1/24"]
"#;

/// Who has 192.0.2.1? Tell 192.0.2.2.
const REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0,
    0, 2, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (port, to_router, from_router) = Channel::new();
    let running = Forwarder::new(Config::parse(CONFIG, "inline")?).port("own", port).start()?;
    to_router.send(REQUEST.to_vec())?;
    println!("{:02x?}", &from_router.recv()?[22..32]);
    drop(to_router);
    println!("conserved: {:?}", running.join()?.conserved);
    Ok(())
}
