//! Tunnels whose path is smaller than their own link.

use super::rig::{Agreement, Build, LAN, TUNNEL, WAN};
use crate::l3::scalar::tests::ipv4;

#[test]
fn a_smaller_path_makes_the_tunnel_smaller_until_it_is_said_to_be_larger() {
    let agreed = Agreement::default();
    let mut west = Build::of(1, &agreed).gateway();
    let packet = || ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 1300]);
    assert_eq!(west.through(LAN, WAN, &[packet()]).len(), 1);
    west.tunnel(TUNNEL).set_path_mtu(Some(1319));
    assert!(west.through(LAN, WAN, &[packet()]).is_empty());
    assert_eq!(west.punted().len(), 1, "the source is to be told");
    west.tunnel(TUNNEL).set_path_mtu(Some(1320));
    assert_eq!(west.through(LAN, WAN, &[packet()]).len(), 1);
    west.tunnel(TUNNEL).set_path_mtu(None);
    assert_eq!(west.through(LAN, WAN, &[packet()]).len(), 1);
}
