//! DPDK's tables for the same job.
#![expect(unsafe_code, reason = "the tables are C")]

use std::ffi::CStr;
use std::ptr::NonNull;

use dpdk_sys as sys;
use qfp::core::fib::{LANES, Leaf, Prefix};
use qfp::hal::dpdk::{Eal, EalError};

use crate::family::{Bytes6, Family, Vector4};
use crate::input::Rib;
use crate::race::Contestant;
use crate::table::{Reader, Results, Room};
use crate::traffic::Keys;

/// Megabytes of DPDK's heap: the largest tables with their rules.
const MEGABYTES: usize = 768;
/// Megabytes of huge pages that must be free for DPDK and for ours.
const WITH_OURS: usize = MEGABYTES + 160;
/// `rte_fib` puts a flag beside the next hop in its two bytes.
const LEAF_MAX: u16 = 0x7fff;

/// Keys of a vector, as DPDK counts them.
const BATCH: u32 = 64;
const _: () = assert!(BATCH as usize == LANES);

/// Why a peer does not take part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// DPDK does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// No memory, or a configuration it does not like.
    #[error("{name} cannot be made: {reason}")]
    Create { name: &'static str, reason: String },
    /// A route that it does not take.
    #[error("{name} refuses a route (error {code}), after {routes} routes")]
    Add { name: &'static str, code: i32, routes: usize },
    /// A next hop beyond its range.
    #[error("{name} has no room for next hop {leaf}")]
    Leaf { name: &'static str, leaf: u16 },
}

/// Starts DPDK. Returns what holds it, and whether its memory is in huge pages.
pub(crate) fn start() -> Result<(Eal, bool), PeerError> {
    let huge = free_huge_pages() >= WITH_OURS / 2;
    let pages = if huge { "--in-memory" } else { "--no-huge" };
    let heap = format!("{MEGABYTES}");
    let args = ["--no-pci", "--no-telemetry", "--log-level=4", "--force-max-simd-bitwidth=512"]
        .into_iter()
        .chain(["--file-prefix=fibbench", pages, "-m", &heap]);
    let args: Vec<String> = args.map(str::to_owned).collect();
    Ok((Eal::init(&args)?, huge))
}

/// Free huge pages of 2 MB.
fn free_huge_pages() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse::<usize>().ok()
    };
    if value("Hugepagesize:") != Some(2048) {
        return 0;
    }
    let reserved = value("HugePages_Rsvd:").unwrap_or(0);
    value("HugePages_Free:").unwrap_or(0).saturating_sub(reserved)
}

/// Makes and fills a table.
pub(crate) fn contestant<P: Peer + 'static>(
    rib: &Rib<P::Key>,
    room: Room,
) -> Result<Contestant<P::Key>, PeerError> {
    let table = P::loaded(rib, room)?;
    Ok(Contestant::new(P::NAME, "", table.bytes(), table))
}

/// A table of DPDK's.
pub(crate) trait Peer: Reader<Self::Key> + Sized {
    /// Its addresses.
    type Key: Family;
    const NAME: &'static str;

    /// An empty table with its fastest lookup.
    fn new(room: Room) -> Result<Self, PeerError>;
    /// Adds a route: 0, or its error.
    fn add(&mut self, prefix: Prefix<Self::Key>, leaf: Leaf) -> i32;
    /// Bytes of its tables, whether used or not.
    fn bytes(&self) -> usize;

    /// A table with all routes of `rib`.
    fn loaded(rib: &Rib<Self::Key>, room: Room) -> Result<Self, PeerError> {
        Self::new(room)?.filled(rib)
    }

    /// The table with all routes of `rib`.
    fn filled(mut self, rib: &Rib<Self::Key>) -> Result<Self, PeerError> {
        for (routes, (&prefix, &leaf)) in rib.iter().enumerate() {
            if leaf.0 > LEAF_MAX {
                return Err(PeerError::Leaf { name: Self::NAME, leaf: leaf.0 });
            }
            let code = self.add(prefix, leaf);
            if code != 0 {
                return Err(PeerError::Add { name: Self::NAME, code, routes });
            }
        }
        Ok(self)
    }
}

/// The table just made, or why there is none.
fn made<T>(name: &'static str, table: *mut T) -> Result<NonNull<T>, PeerError> {
    NonNull::new(table).ok_or_else(|| {
        // SAFETY: the error number is this thread's own, and every number has a text that stays
        // until this thread asks again.
        let reason = unsafe { CStr::from_ptr(sys::rte_strerror(sys::qfp_errno())) };
        PeerError::Create { name, reason: reason.to_string_lossy().into_owned() }
    })
}

fn selected(name: &'static str, code: i32) -> Result<(), PeerError> {
    let reason = "no AVX-512 lookup".to_owned();
    if code == 0 { Ok(()) } else { Err(PeerError::Create { name, reason }) }
}

/// Routes as DPDK counts them.
fn count(routes: usize) -> i32 {
    i32::try_from(routes).unwrap_or(i32::MAX)
}

/// Blocks as DPDK counts them.
fn blocks(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `rte_fib`, DIR-24-8 with two bytes a next hop.
pub(crate) struct Fib4(NonNull<sys::rte_fib>, usize);

impl Peer for Fib4 {
    type Key = u32;
    const NAME: &'static str = "rte_fib";

    fn new(room: Room) -> Result<Self, PeerError> {
        let mut conf = sys::rte_fib_conf {
            type_: sys::RTE_FIB_DIR24_8,
            default_nh: 0,
            max_routes: count(room.routes * 5 / 4),
            ..Default::default()
        };
        conf.__bindgen_anon_1.dir24_8.nh_sz = sys::RTE_FIB_DIR24_8_2B;
        conf.__bindgen_anon_1.dir24_8.num_tbl8 = blocks(room.long);
        // SAFETY: the name is a C string and the configuration is complete; both are copied.
        let table = unsafe { sys::rte_fib_create(c"bench4".as_ptr(), 0, &raw mut conf) };
        let table = Self(made(Self::NAME, table)?, 2 * ((1 << 24) + 256 * room.long));
        let avx512 = sys::RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512;
        // SAFETY: the table is alive.
        let code = unsafe { sys::rte_fib_select_lookup(table.0.as_ptr(), avx512) };
        selected(Self::NAME, code).map(|()| table)
    }

    fn add(&mut self, prefix: Prefix<u32>, leaf: Leaf) -> i32 {
        // SAFETY: the table is alive and nobody reads it meanwhile.
        unsafe {
            sys::rte_fib_add(self.0.as_ptr(), prefix.first(), prefix.len(), u64::from(leaf.0))
        }
    }

    fn bytes(&self) -> usize {
        self.1
    }
}

impl Reader<u32> for Fib4 {
    type Vector = Vector4;
    type Raw = u64;

    fn form(keys: &Keys<u32>) -> &[Vector4] {
        &keys.vectors
    }

    fn look_up(&self, vectors: &[Vector4], mut each: impl FnMut(&[u64; LANES])) {
        let mut hops = Results([0u64; LANES]);
        for vector in vectors {
            let keys = vector.keys.as_ptr().cast_mut();
            // SAFETY: 64 keys, which are only read, and room for 64 results.
            unsafe {
                sys::rte_fib_lookup_bulk(
                    self.0.as_ptr(),
                    keys,
                    hops.0.as_mut_ptr(),
                    BATCH.cast_signed(),
                )
            };
            each(&hops.0);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "leaves have 16 bits")]
    fn leaf(raw: u64) -> u32 {
        raw as u32
    }
}

impl Drop for Fib4 {
    fn drop(&mut self) {
        // SAFETY: made by `rte_fib_create`, and this is its only owner.
        unsafe { sys::rte_fib_free(self.0.as_ptr()) };
    }
}

/// `rte_fib6`, a trie with four bytes a next hop: a full table needs more blocks than two can name.
pub(crate) struct Fib6(NonNull<sys::rte_fib6>, usize);

impl Fib6 {
    fn with_blocks(room: Room, number: usize) -> Result<Self, PeerError> {
        let mut conf = sys::rte_fib6_conf {
            type_: sys::RTE_FIB6_TRIE,
            default_nh: 0,
            max_routes: count(room.routes * 5 / 4),
            ..Default::default()
        };
        conf.__bindgen_anon_1.trie.nh_sz = sys::RTE_FIB6_TRIE_4B;
        conf.__bindgen_anon_1.trie.num_tbl8 = blocks(number);
        // SAFETY: the name is a C string and the configuration is complete; both are copied.
        let table = unsafe { sys::rte_fib6_create(c"bench6".as_ptr(), 0, &raw mut conf) };
        let table = Self(made(Self::NAME, table)?, 4 * ((1 << 24) + 256 * number));
        let avx512 = sys::RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512;
        // SAFETY: the table is alive.
        let code = unsafe { sys::rte_fib6_select_lookup(table.0.as_ptr(), avx512) };
        selected(Self::NAME, code).map(|()| table)
    }
}

impl Peer for Fib6 {
    type Key = u128;
    const NAME: &'static str = "rte_fib6";

    fn new(room: Room) -> Result<Self, PeerError> {
        Self::with_blocks(room, 1 << 18)
    }

    fn loaded(rib: &Rib<u128>, room: Room) -> Result<Self, PeerError> {
        // Random next hops take more blocks; where fewer do, the table stays smaller.
        let few = Self::new(room).and_then(|table| table.filled(rib));
        few.or_else(|_| Self::with_blocks(room, 1 << 19)?.filled(rib))
    }

    fn add(&mut self, prefix: Prefix<u128>, leaf: Leaf) -> i32 {
        let address = prefix.first().to_be_bytes();
        // SAFETY: the table is alive, nobody reads it meanwhile, and an address has 16 bytes.
        unsafe {
            let hop = u64::from(leaf.0);
            sys::rte_fib6_add(self.0.as_ptr(), address.as_ptr().cast(), prefix.len(), hop)
        }
    }

    fn bytes(&self) -> usize {
        self.1
    }
}

impl Reader<u128> for Fib6 {
    type Vector = Bytes6;
    type Raw = u64;

    fn form(keys: &Keys<u128>) -> &[Bytes6] {
        &keys.bytes
    }

    fn look_up(&self, vectors: &[Bytes6], mut each: impl FnMut(&[u64; LANES])) {
        let mut hops = Results([0u64; LANES]);
        for vector in vectors {
            let keys = vector.0.as_ptr().cast_mut().cast();
            // SAFETY: 64 keys, which are only read, and room for 64 results.
            unsafe {
                sys::rte_fib6_lookup_bulk(
                    self.0.as_ptr(),
                    keys,
                    hops.0.as_mut_ptr(),
                    BATCH.cast_signed(),
                )
            };
            each(&hops.0);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "leaves have 16 bits")]
    fn leaf(raw: u64) -> u32 {
        raw as u32
    }
}

impl Drop for Fib6 {
    fn drop(&mut self) {
        // SAFETY: made by `rte_fib6_create`, and this is its only owner.
        unsafe { sys::rte_fib6_free(self.0.as_ptr()) };
    }
}

/// `rte_lpm`, four keys at a time. Its rule list is searched linearly: a full table takes minutes.
pub(crate) struct Lpm4(NonNull<sys::rte_lpm>, usize);

impl Peer for Lpm4 {
    type Key = u32;
    const NAME: &'static str = "rte_lpm";

    fn new(room: Room) -> Result<Self, PeerError> {
        let conf = sys::rte_lpm_config {
            max_rules: blocks(room.routes),
            number_tbl8s: blocks(room.long),
            flags: 0,
        };
        // SAFETY: the name is a C string and the configuration is complete; both are copied.
        let table = unsafe { sys::rte_lpm_create(c"bench4".as_ptr(), 0, &raw const conf) };
        Ok(Self(made(Self::NAME, table)?, 4 * ((1 << 24) + 256 * room.long)))
    }

    fn add(&mut self, prefix: Prefix<u32>, leaf: Leaf) -> i32 {
        // SAFETY: the table is alive and nobody reads it meanwhile.
        unsafe {
            sys::rte_lpm_add(self.0.as_ptr(), prefix.first(), prefix.len(), u32::from(leaf.0))
        }
    }

    fn bytes(&self) -> usize {
        self.1
    }
}

impl Reader<u32> for Lpm4 {
    type Vector = Vector4;
    type Raw = u32;

    fn form(keys: &Keys<u32>) -> &[Vector4] {
        &keys.vectors
    }

    fn look_up(&self, vectors: &[Vector4], mut each: impl FnMut(&[u32; LANES])) {
        let mut hops = Results([0u32; LANES]);
        for vector in vectors {
            let keys = vector.keys.as_ptr();
            // SAFETY: 64 keys and room for 64 results.
            unsafe { sys::qfp_lpm_lookup_x4(self.0.as_ptr(), keys, hops.0.as_mut_ptr(), BATCH, 0) };
            each(&hops.0);
        }
    }

    fn leaf(raw: u32) -> u32 {
        raw
    }
}

impl Drop for Lpm4 {
    fn drop(&mut self) {
        // SAFETY: made by `rte_lpm_create`, and this is its only owner.
        unsafe { sys::rte_lpm_free(self.0.as_ptr()) };
    }
}

/// `rte_lpm6`.
pub(crate) struct Lpm6(NonNull<sys::rte_lpm6>, usize);

impl Lpm6 {
    const BLOCKS: usize = 1 << 16;
}

impl Peer for Lpm6 {
    type Key = u128;
    const NAME: &'static str = "rte_lpm6";

    fn new(room: Room) -> Result<Self, PeerError> {
        let conf = sys::rte_lpm6_config {
            max_rules: blocks(room.routes),
            number_tbl8s: blocks(Self::BLOCKS),
            flags: 0,
        };
        // SAFETY: the name is a C string and the configuration is complete; both are copied.
        let table = unsafe { sys::rte_lpm6_create(c"bench6".as_ptr(), 0, &raw const conf) };
        Ok(Self(made(Self::NAME, table)?, 4 * ((1 << 24) + 256 * Self::BLOCKS)))
    }

    fn add(&mut self, prefix: Prefix<u128>, leaf: Leaf) -> i32 {
        let address = prefix.first().to_be_bytes();
        // SAFETY: the table is alive, nobody reads it meanwhile, and an address has 16 bytes.
        unsafe {
            let hop = u32::from(leaf.0);
            sys::rte_lpm6_add(self.0.as_ptr(), address.as_ptr().cast(), prefix.len(), hop)
        }
    }

    fn bytes(&self) -> usize {
        self.1
    }
}

impl Reader<u128> for Lpm6 {
    type Vector = Bytes6;
    type Raw = i32;

    fn form(keys: &Keys<u128>) -> &[Bytes6] {
        &keys.bytes
    }

    fn look_up(&self, vectors: &[Bytes6], mut each: impl FnMut(&[i32; LANES])) {
        let mut hops = Results([0i32; LANES]);
        for vector in vectors {
            let keys = vector.0.as_ptr().cast_mut().cast();
            let (table, hops) = (self.0.as_ptr(), &mut hops.0);
            // SAFETY: 64 keys, which are only read, and room for 64 results.
            unsafe { sys::rte_lpm6_lookup_bulk_func(table, keys, hops.as_mut_ptr(), BATCH) };
            each(hops);
        }
    }

    fn leaf(raw: i32) -> u32 {
        // A negative number is a miss.
        u32::try_from(raw).unwrap_or(0)
    }
}

impl Drop for Lpm6 {
    fn drop(&mut self) {
        // SAFETY: made by `rte_lpm6_create`, and this is its only owner.
        unsafe { sys::rte_lpm6_free(self.0.as_ptr()) };
    }
}
