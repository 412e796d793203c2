//! DPDK's classifier.
#![expect(unsafe_code, reason = "the classifier is C")]

use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;
use qfp::hal::dpdk::{Eal, EalError};

use crate::memory::{HUGE_PAGE, Heap, peak_during};
use crate::packed::Packed;
use crate::race::{Contestant, sample};
use crate::set::{self, Family, Prefix, Rule};
use contest::thread_ns;

/// Megabytes of DPDK's heap, where its tables lie: those of 100,000 rules need more.
const MEGABYTES: usize = 640;
const MEGABYTES_LARGE: usize = 1536;
/// Fields of a rule: protocol, words of the addresses, ports.
const FIELDS_V4: usize = 5;
const FIELDS_V6: usize = 11;
/// DPDK wants categories in fours.
const CATEGORIES: u32 = 4;

/// Why a peer does not take part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// DPDK does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// No memory for its tables.
    #[error("{megabytes} MB for tables are not to be had")]
    NoMemory { megabytes: usize },
    /// No memory, or a rule it does not like.
    #[error("DPDK refuses to {step}: {reason}")]
    Refused { step: &'static str, reason: String },
}

/// DPDK, and the heap in which its tables lie.
pub(crate) struct Dpdk {
    _eal: Eal,
    /// The heap's number; DPDK speaks of a socket.
    socket: i32,
}

impl Dpdk {
    /// Starts DPDK with a heap in huge pages, whether any are reserved or not; with `large` it has
    /// room for large sets.
    pub(crate) fn start(large: bool) -> Result<Self, PeerError> {
        let args = ["--no-pci", "--no-telemetry", "--log-level=4", "--force-max-simd-bitwidth=512"]
            .into_iter()
            .chain(["--file-prefix=aclbench", "--no-huge", "-m", "64"]);
        let args: Vec<String> = args.map(str::to_owned).collect();
        let eal = Eal::init(&args)?;
        let megabytes = if large { MEGABYTES_LARGE } else { MEGABYTES };
        let heap = Heap::new(megabytes << 20).ok_or(PeerError::NoMemory { megabytes })?;
        let name = c"tables".as_ptr();
        // SAFETY: the name is a C string and is copied.
        done("make a heap", unsafe { sys::rte_malloc_heap_create(name) })?;
        // SAFETY: the memory is this process's own, stays for good, and nobody else uses it; its
        // addresses on the bus are not known and need not be.
        let code = unsafe {
            sys::rte_malloc_heap_memory_add(
                name,
                heap.start.as_ptr().cast(),
                heap.bytes,
                std::ptr::null_mut(),
                narrow(heap.bytes / HUGE_PAGE),
                HUGE_PAGE,
            )
        };
        done("add memory to its heap", code)?;
        // SAFETY: the name is a C string.
        let socket = unsafe { sys::rte_malloc_heap_get_socket(name) };
        let pages = if heap.huge { "huge" } else { "ordinary" };
        eprintln!("peer: {}, memory in {pages} pages", qfp::hal::dpdk::version());
        Ok(Self { _eal: eal, socket })
    }

    /// Bytes allocated in the heap.
    fn heap_bytes(&self) -> usize {
        let mut stats = sys::rte_malloc_socket_stats::default();
        // SAFETY: `stats` is exclusively borrowed for the whole call.
        unsafe { sys::rte_malloc_get_socket_stats(self.socket, &raw mut stats) };
        stats.heap_allocsz_bytes
    }
}

/// How the table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// As DPDK does it when nothing is asked for: more tries, less memory.
    Default,
    /// Fewer and larger tries, up to 256 MB: more memory, often faster.
    Roomy,
}

/// A rule as DPDK takes it.
#[repr(C)]
struct CRule<const N: usize> {
    data: sys::rte_acl_rule_data,
    fields: [sys::rte_acl_field; N],
}

/// A built classifier.
pub(crate) struct Table {
    context: NonNull<sys::rte_acl_ctx>,
    bytes: usize,
    peak: usize,
    ms: f64,
}

impl Table {
    /// Builds `lists`, a category each, if there are several.
    pub(crate) fn new(
        dpdk: &Dpdk,
        family: Family,
        lists: &[&[Rule]],
        size: Size,
    ) -> Result<Self, PeerError> {
        match family {
            Family::V4 => Self::built::<FIELDS_V4>(dpdk, family, lists, size),
            Family::V6 => Self::built::<FIELDS_V6>(dpdk, family, lists, size),
        }
    }

    fn built<const N: usize>(
        dpdk: &Dpdk,
        family: Family,
        lists: &[&[Rule]],
        size: Size,
    ) -> Result<Self, PeerError> {
        // A context of the same name would be found instead of made.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).unwrap_or_default();
        let count = lists.iter().map(|rules| rules.len()).sum();
        let param = sys::rte_acl_param {
            name: name.as_ptr(),
            socket_id: dpdk.socket,
            rule_size: narrow(size_of::<CRule<N>>()),
            max_rule_num: narrow(count),
        };
        // SAFETY: the parameters are complete; DPDK copies them, the name included.
        let context = unsafe { sys::rte_acl_create(&raw const param) };
        let Some(context) = NonNull::new(context) else {
            // SAFETY: asks for this thread's own error number.
            return Err(refused("make a context", unsafe { sys::qfp_errno() }));
        };
        let mut table = Self { context, bytes: 0, peak: 0, ms: 0.0 };
        let rules: Vec<CRule<N>> = c_rules(family, lists);
        let mut config = sys::rte_acl_config {
            num_categories: if lists.len() > 1 { CATEGORIES } else { 1 },
            num_fields: narrow(N),
            max_size: if size == Size::Roomy { 256 << 20 } else { 0 },
            ..Default::default()
        };
        config.defs[..N].copy_from_slice(&definitions::<N>());
        let heap = dpdk.heap_bytes();
        let start = thread_ns();
        // SAFETY: the context is alive and nobody else uses it; the rules have the size that it
        // was made for, are copied, and `count` is their number.
        let code = unsafe {
            sys::rte_acl_add_rules(context.as_ptr(), rules.as_ptr().cast(), narrow(count))
        };
        accepted("take the rules", code)?;
        let (peak, code) = peak_during(|| {
            // SAFETY: the context is alive and nobody else uses it; the configuration is complete.
            unsafe { sys::rte_acl_build(context.as_ptr(), &raw const config) }
        });
        accepted("build", code)?;
        table.ms = (thread_ns() - start) as f64 / 1e6;
        table.bytes = dpdk.heap_bytes().saturating_sub(heap);
        // All of the heap is present from the beginning; the table does not show in the peak.
        table.peak = peak + table.bytes;
        Ok(table)
    }

    fn classify(
        &self,
        algorithm: u32,
        records: &[*const u8],
        results: &mut [u32],
        categories: u32,
    ) {
        // SAFETY: the table is alive; each pointer leads to a whole record of the layout that
        // `definitions` describes, and `results` has `categories` elements for each of them.
        unsafe {
            sys::rte_acl_classify_alg(
                self.context.as_ptr(),
                records.as_ptr().cast_mut(),
                results.as_mut_ptr(),
                narrow(records.len()),
                categories,
                algorithm,
            )
        };
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: made by `rte_acl_create`, and this is its only owner.
        unsafe { sys::rte_acl_free(self.context.as_ptr()) };
    }
}

fn refused(step: &'static str, code: i32) -> PeerError {
    // SAFETY: every number has a text that stays until this thread asks again.
    let reason = unsafe { CStr::from_ptr(sys::rte_strerror(code)) };
    PeerError::Refused { step, reason: reason.to_string_lossy().into_owned() }
}

/// For functions that return the error.
fn accepted(step: &'static str, code: i32) -> Result<(), PeerError> {
    if code == 0 { Ok(()) } else { Err(refused(step, -code)) }
}

/// For functions that leave the error behind.
fn done(step: &'static str, code: i32) -> Result<(), PeerError> {
    // SAFETY: asks for this thread's own error number.
    if code == 0 { Ok(()) } else { Err(refused(step, unsafe { sys::qfp_errno() })) }
}

/// Numbers as DPDK counts them.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a record looks like: the protocol, words of four bytes, two ports in the last word.
#[expect(clippy::cast_possible_truncation, reason = "a dozen fields")]
fn definitions<const N: usize>() -> [sys::rte_acl_field_def; N] {
    std::array::from_fn(|field| {
        let word = (field.min(N - 2)) as u32;
        let (kind, size, offset) = match field {
            0 => (sys::RTE_ACL_FIELD_TYPE_BITMASK, 1, 0),
            _ if field < N - 2 => (sys::RTE_ACL_FIELD_TYPE_MASK, 4, 4 * word - 3),
            _ if field == N - 2 => (sys::RTE_ACL_FIELD_TYPE_RANGE, 2, 4 * word - 3),
            _ => (sys::RTE_ACL_FIELD_TYPE_RANGE, 2, 4 * word - 1),
        };
        sys::rte_acl_field_def {
            type_: kind as u8,
            size,
            field_index: field as u8,
            input_index: word as u8,
            offset,
        }
    })
}

/// Rules of all lists; the first line of each has the highest priority.
fn c_rules<const N: usize>(family: Family, lists: &[&[Rule]]) -> Vec<CRule<N>> {
    let mut all = Vec::new();
    for (category, rules) in lists.iter().enumerate() {
        for (line, rule) in rules.iter().enumerate() {
            let userdata = narrow(line + 1);
            let priority = (sys::RTE_ACL_MAX_PRIORITY - userdata).cast_signed();
            let data = sys::rte_acl_rule_data { category_mask: 1 << category, priority, userdata };
            all.push(CRule { data, fields: fields(family, rule) });
        }
    }
    all
}

fn fields<const N: usize>(family: Family, rule: &Rule) -> [sys::rte_acl_field; N] {
    let words = usize::from(set::bits(family) / 32);
    std::array::from_fn(|field| match field {
        0 => c_field(rule.proto.into(), rule.proto_mask.into()),
        _ if field <= words => prefix_word(rule.src, words, field - 1),
        _ if field <= 2 * words => prefix_word(rule.dst, words, field - 1 - words),
        _ if field == N - 2 => range(&rule.sport),
        _ => range(&rule.dport),
    })
}

/// A word of an address with the length of its part of the prefix.
#[expect(clippy::cast_possible_truncation, reason = "words of an address")]
fn prefix_word(prefix: Prefix, words: usize, word: usize) -> sys::rte_acl_field {
    let value = (prefix.value >> (32 * (words - 1 - word))) as u32;
    c_field(value, u32::from(prefix.len).saturating_sub(32 * word as u32).min(32))
}

fn range(range: &RangeInclusive<u16>) -> sys::rte_acl_field {
    c_field((*range.start()).into(), (*range.end()).into())
}

/// The unions of a field are as wide as DPDK's widest field; a number fits in any of them.
fn c_field(value: u32, mask_range: u32) -> sys::rte_acl_field {
    sys::rte_acl_field {
        value: sys::rte_acl_field_types { u64_: value.into() },
        mask_range: sys::rte_acl_field_types { u64_: mask_range.into() },
    }
}

/// One or several tables looked up one after the other.
pub(crate) struct RteAcl {
    name: &'static str,
    tables: Vec<Rc<Table>>,
    algorithm: u32,
    /// Lists that all tables together answer for.
    lists: usize,
    /// Headers handed over at a time.
    burst: usize,
    records: Vec<*const u8>,
    results: Vec<u32>,
}

/// Whole arrays.
const UNBOUNDED: usize = usize::MAX;

impl RteAcl {
    /// With AVX-512, 32 headers at a time.
    pub(crate) fn avx512(name: &'static str, tables: Vec<Rc<Table>>, lists: usize) -> Self {
        Self::new(name, tables, sys::RTE_ACL_CLASSIFY_AVX512X32, lists)
    }

    /// With AVX2, which DPDK takes unless told that it may use more.
    pub(crate) fn avx2(name: &'static str, tables: Vec<Rc<Table>>, lists: usize) -> Self {
        Self::new(name, tables, sys::RTE_ACL_CLASSIFY_AVX2, lists)
    }

    fn new(name: &'static str, tables: Vec<Rc<Table>>, algorithm: u32, lists: usize) -> Self {
        let (records, results) = (Vec::new(), Vec::new());
        Self { name, tables, algorithm, lists, burst: 64, records, results }
    }

    /// Results of a table for a header, of which the first ones count.
    fn categories(&self) -> usize {
        if self.tables.len() == self.lists { 1 } else { CATEGORIES as usize }
    }

    /// Points to the records, once for each array of them: pointers to packets are there anyway.
    fn point(&mut self, headers: &Packed) {
        let mut records = headers.records();
        let same = self.records.len() == headers.len()
            && records.next().map(<[u8]>::as_ptr) == self.records.first().copied();
        if !same {
            self.records = headers.records().map(<[u8]>::as_ptr).collect();
        }
        let burst = self.burst.min(headers.len());
        self.results.resize(burst * self.tables.len() * self.categories(), 0);
    }

    /// Hands the results of each burst to `each`, table by table.
    fn look_up(&mut self, headers: &Packed, mut each: impl FnMut(&[u32])) {
        self.point(headers);
        let categories = self.categories();
        for burst in self.records.chunks(self.burst) {
            let results = &mut self.results[..burst.len() * self.tables.len() * categories];
            let of_table = results.chunks_mut(burst.len() * categories);
            for (table, results) in self.tables.iter().zip(of_table) {
                table.classify(self.algorithm, burst, results, narrow(categories));
            }
            each(results);
        }
    }
}

impl Contestant for RteAcl {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bytes(&self) -> usize {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    fn build_ms(&self) -> f64 {
        self.tables.iter().map(|table| table.ms).sum()
    }

    fn peak_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.peak).max().unwrap_or(0)
    }

    fn run(&mut self, headers: &Packed) -> u32 {
        let mut sum = 0u32;
        self.look_up(headers, |results| {
            sum = sum.wrapping_add(results[0] ^ results[results.len() - 1]);
        });
        sum
    }

    fn collect(&mut self, headers: &Packed) -> Vec<u32> {
        let (lists, tables, categories) = (self.lists, self.tables.len(), self.categories());
        let mut all = Vec::with_capacity(headers.len() * lists);
        self.look_up(headers, |results| {
            let count = results.len() / tables / categories;
            for header in 0..count {
                for list in 0..lists {
                    let (table, category) = if categories == 1 { (list, 0) } else { (0, list) };
                    all.push(results[(table * count + header) * categories + category]);
                }
            }
        });
        all
    }

    fn tune(&mut self, headers: &Packed) -> Option<usize> {
        let mut best = 0.0;
        let mut chosen = self.burst;
        for _ in 0..3 {
            for burst in [64, 256, 1024, UNBOUNDED] {
                self.burst = burst;
                let speed = sample(self, headers);
                if speed > best {
                    (best, chosen) = (speed, burst);
                }
            }
        }
        self.burst = chosen;
        Some(chosen.min(headers.len()))
    }
}
