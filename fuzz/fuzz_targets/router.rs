//! Everything that joins: walk, punt rows, slow path and changes of the configuration, with access
//! lists, service policies, unicast RPF, policy routes, VRFs, security policies and tunnels.
//!
//! The first byte chooses the router, the second how it walks. Then come operations ([`Op`]): frames,
//! made of a known packet and bytes that lie over it, with right checksums where wanted; packets that
//! a peer with the keys has protected; and time, edits of lists, neighbours and SAs that come and go.
//!
//! Every packet is counted once, every buffer comes back, nothing goes round for ever, and where a
//! security policy stands nothing leaves in the clear but what it lets pass.
#![no_main]

#[path = "router/frames.rs"]
mod frames;
#[path = "router/peer.rs"]
mod peer;
#[path = "router/rig.rs"]
mod rig;
#[path = "router/scene.rs"]
mod scene;
mod wire;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

use rig::Router;
use scene::SCENES;

/// Operations of one input.
const OPERATIONS: usize = 120;

/// What happens next, by its first byte.
enum Op<'a> {
    /// A frame on a port.
    Frame { port: usize, template: u8, fix: bool, over: &'a [u8] },
    /// A packet inside of ESP on the WAN.
    Sealed { sa: u8, template: u8, fix: bool, over: &'a [u8] },
    /// The frames so far are received, and the slow path answers.
    Turn(u8),
    /// Another configuration, or a change of it.
    Change(u8, u8),
}

impl<'a> Op<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([kind, choice, len], rest) = bytes.split_first_chunk::<3>()?;
        let (over, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        let (template, fix) = (choice & 0x3f, choice & 0x40 == 0);
        // Changes are dear, and what they are followed by matters more.
        let op = match kind {
            0..=159 => Self::Frame { port: usize::from(kind % 3), template, fix, over },
            160..=207 => Self::Sealed { sa: kind & 1, template, fix, over },
            208..=247 => Self::Turn(*choice),
            _ => Self::Change(kind - 248, *choice),
        };
        Some((op, rest))
    }
}

fn run(routers: &mut [Option<Router>; SCENES], bytes: &[u8]) {
    let Some(([which, knobs], mut rest)) = bytes.split_first_chunk::<2>() else { return };
    let which = usize::from(*which) % SCENES;
    let router = routers[which].get_or_insert_with(|| Router::new(which));
    let mut running = router.start(*knobs);
    for _ in 0..OPERATIONS {
        let Some((op, tail)) = Op::split(rest) else { break };
        rest = tail;
        match op {
            Op::Frame { port, template, fix, over } => {
                running.receive(port, frames::frame(port, template, fix, over));
            }
            Op::Sealed { sa, template, fix, over } => {
                running.receive_sealed(sa, template, fix, over)
            }
            Op::Turn(time) => running.turn(time),
            Op::Change(what, choice) => running.change(what, choice),
        }
    }
    running.turn(0);
    running.end();
}

thread_local! {
    static ROUTERS: RefCell<[Option<Router>; SCENES]> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| ROUTERS.with(|routers| run(&mut routers.borrow_mut(), bytes)));
