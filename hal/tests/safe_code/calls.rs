//! Calls of what is public on bursts, packets and pools, as bytes say. Every byte of a
//! frame is its stamp: a write beyond another frame's buffer shows.

use std::slice::Iter;

use hal::packet::HEADROOM;
use hal::pool::NativePool;
use hal::{Burst, Packet, PacketMask, Pool, PoolCache, PortConfig, Queues, Spec};
use pal::clock::Nanos;

/// Buffers and bytes a frame of the pools: one runs dry, one fills vectors, one has no room at all.
const POOLS: [(usize, usize); 3] = [(5, 64), (150, 200), (3, 0)];

struct Given<'a>(Iter<'a, u8>);

impl Given<'_> {
    fn byte(&mut self) -> usize {
        self.0.next().copied().map_or(0, usize::from)
    }

    /// Mostly small, now and then at an end.
    fn number(&mut self) -> usize {
        match self.byte() {
            250..=255 => usize::MAX,
            240..250 => isize::MIN.cast_unsigned(),
            238..240 => 65_535,
            230..238 => 65_536 + self.byte(),
            200..230 => self.byte() << 8 | self.byte(),
            small => small,
        }
    }

    fn delta(&mut self) -> isize {
        let number = self.number().cast_signed();
        if self.byte() & 1 == 0 { number } else { number.wrapping_neg() }
    }

    fn mask(&mut self) -> PacketMask {
        match self.byte() {
            0..80 => PacketMask::FULL,
            80..120 => PacketMask::first(self.byte()),
            _ => PacketMask(u64::from_le_bytes(std::array::from_fn(|_| self.byte() as u8))),
        }
    }

    fn of<'v, T>(&mut self, values: &'v mut [T]) -> &'v mut T {
        let at = self.byte() % values.len();
        &mut values[at]
    }
}

struct World {
    caches: Vec<PoolCache>,
    bursts: Vec<Burst>,
    packets: Vec<Packet>,
    ports: Vec<Queues>,
    stamp: u8,
}

/// Makes the calls that `bytes` name, and checks frames and pools.
pub(crate) fn make(bytes: &[u8]) {
    let pools = POOLS.map(|(buffers, room)| Pool::Native(NativePool::new(buffers, room)));
    let caches: Vec<_> = pools.iter().chain(&pools[..2]).map(|pool| pool.cache(0)).collect();
    let bursts = caches.iter().map(|cache| Burst::new(cache.origin())).collect();
    let config =
        PortConfig { mac: None, mtu: 1500, rx_queues: 1, tx_queues: 1, promiscuous: false };
    let open = |text: &str| Spec::parse(text).unwrap().open().unwrap().start(&config).unwrap();
    let ports = ["synth:size=64,count=300", "synth:size=190,count=300", "sink"].map(open).into();
    let mut world = World { caches, bursts, packets: Vec::new(), ports, stamp: 0 };
    let mut given = Given(bytes.iter());
    while !given.0.as_slice().is_empty() {
        world.call(&mut given);
        world.check();
    }
    drop(world);
    for pool in &pools {
        pool.check_complete().unwrap();
    }
}

impl World {
    fn call(&mut self, given: &mut Given<'_>) {
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        let bytes = |count: usize| vec![stamp; count.min(70_000)];
        match given.byte() % 12 {
            0 | 1 => drop(
                given
                    .of(&mut self.caches)
                    .append(given.of(&mut self.bursts), &bytes(given.number())),
            ),
            2 => self.packets.extend(given.of(&mut self.caches).packet(&bytes(given.number()))),
            3 => {
                let Some(packet) = self.packets.pop() else { return };
                let back = given.of(&mut self.bursts).push(packet);
                self.packets.extend(back.err());
            }
            4 => {
                let select = given.mask();
                given.of(&mut self.caches).free(given.of(&mut self.bursts), select);
            }
            6 => {
                let burst = given.of(&mut self.bursts);
                let cache = given.of(&mut self.caches);
                let queues = given.of(&mut self.ports);
                if given.byte() & 1 == 0 {
                    let before = burst.count();
                    queues.rx[0].rx_burst(burst, cache);
                    (before..burst.count()).for_each(|slot| burst.frame_mut(slot).fill(stamp));
                } else {
                    queues.tx[0].tx_burst(burst, given.mask(), cache, Nanos::ZERO);
                }
            }
            7 => {
                let (one, other) = (given.byte() % 5, given.byte() % 5);
                if given.byte() & 1 == 0 {
                    self.bursts.swap(one, other);
                } else {
                    let fresh = Burst::new(self.caches[one].origin());
                    drop(std::mem::replace(&mut self.bursts[other], fresh));
                }
            }
            8 => {
                let Some(packet) = self.packets.last_mut() else { return };
                assert!(packet.frame().len() <= packet.capacity());
                match given.byte() % 3 {
                    0 => packet.frame_mut().fill(stamp),
                    1 => drop(packet.set_frame(&bytes(given.number()))),
                    _ => drop(self.packets.pop()),
                }
            }
            _ => self.burst(given),
        }
    }

    fn burst(&mut self, given: &mut Given<'_>) {
        let burst = given.of(&mut self.bursts);
        let slot = if given.byte() < 250 { given.byte() % 8 } else { given.number() };
        let changed = match given.byte() % 8 {
            0 => burst.move_start(slot, given.delta()),
            7 => {
                let promised = burst.owned().contains(slot) && !burst.shifted().contains(slot);
                let moved = burst.move_start(slot, -HEADROOM.cast_signed());
                assert!(moved || !promised, "the headroom is not there");
                moved
            }
            1 => burst.narrow(slot, given.number(), given.number()),
            2 => burst.extend(slot, given.number()),
            3 => {
                self.packets.extend(burst.take(slot));
                return;
            }
            4 => {
                burst.clear();
                return;
            }
            _ => {
                burst.truncate(slot, given.number());
                true
            }
        };
        if changed {
            burst.frame_mut(slot).fill(self.stamp);
        }
    }

    fn check(&self) {
        for burst in &self.bursts {
            assert!((burst.owned() - PacketMask::first(burst.count())).is_empty());
            for slot in 0..70 {
                let frame = burst.frame(slot);
                let len = if burst.owned().contains(slot) { burst.len(slot) } else { 0 };
                assert_eq!(frame.len(), len);
                whole(frame);
            }
        }
        self.packets.iter().for_each(|packet| whole(packet.frame()));
    }
}

fn whole(frame: &[u8]) {
    assert!(frame.iter().all(|&byte| byte == frame[0]), "somebody has written into {frame:?}");
}
