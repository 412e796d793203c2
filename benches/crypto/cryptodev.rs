//! DPDK's software cryptodevs, which are Intel's multi-buffer library.
#![expect(unsafe_code, reason = "the devices are C")]

use std::ffi::CString;
use std::rc::Rc;

use dpdk_sys as sys;
use qfp::core::crypto::{Algorithm, BATCH};
use qfp::hal::crypto::{CryptoError, CryptoKey};
use qfp::hal::dpdk::{Cryptodev, Eal, Session};

use crate::packets::{PAYLOAD, Packet, Shape, fill};
use crate::race::{Contestant, Set};

/// Megabytes of DPDK's heap: sessions of 4096 SAs, both ways.
const MEGABYTES: &str = "512";
/// Sessions there is room for: of 4096 SAs, both ways.
const SESSIONS: usize = 2 * 4096;
/// Bytes of an mbuf's buffer: the largest packets and the headroom.
const ROOM: u16 = 8192 + 512;

/// The devices there are, with the names that results have.
pub(crate) struct Devices {
    devices: Vec<(Rc<Cryptodev>, &'static str)>,
}

impl Devices {
    /// Starts DPDK with both devices; none, aloud, if that fails.
    pub(crate) fn start() -> Option<Self> {
        // Devices log an error for each algorithm that they lack.
        let args = ["--no-pci", "--no-telemetry", "--log-level=3", "--no-huge", "-m", MEGABYTES]
            .into_iter()
            .chain(["--force-max-simd-bitwidth=512", "--file-prefix=cryptobench"])
            .chain(["--vdev=crypto_aesni_gcm0", "--vdev=crypto_aesni_mb0"])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let eal = match Eal::init(&args) {
            Ok(eal) => eal,
            Err(error) => {
                eprintln!("A PEER IS MISSING: {error}");
                return None;
            }
        };
        let mut devices = Vec::new();
        for (name, short) in [("crypto_aesni_gcm0", "aesni_gcm"), ("crypto_aesni_mb0", "aesni_mb")]
        {
            match Cryptodev::open(&eal, name, SESSIONS) {
                Ok(device) => devices.push((Rc::new(device), short)),
                Err(error) => eprintln!("A PEER IS MISSING: {error}"),
            }
        }
        Some(Self { devices })
    }

    /// Those that have the algorithm.
    pub(crate) fn contestants(&self, shape: Shape) -> Vec<Box<dyn Contestant>> {
        let mut contestants: Vec<Box<dyn Contestant>> = Vec::new();
        for (device, short) in &self.devices {
            match CryptoDev::new(device.clone(), short, shape) {
                Ok(contestant) => {
                    contestants.extend(contestant.map(|device| Box::new(device) as _))
                }
                Err(error) => eprintln!("{error}"),
            }
        }
        contestants
    }
}

/// Operations of a batch, in one direction.
type Operations = [*mut sys::rte_crypto_op; BATCH];

/// A device with sessions for all SAs, and a batch.
struct CryptoDev {
    device: Rc<Cryptodev>,
    name: &'static str,
    shape: Shape,
    /// Of each SA, to seal and to open.
    sessions: Vec<[Session; 2]>,
    salts: Vec<Vec<u8>>,
    mbufs: [[*mut sys::rte_mbuf; BATCH]; 2],
    /// Of each set, to seal and to open.
    operations: [[Operations; 2]; 2],
    /// Of operations and of mbufs.
    pools: [*mut sys::rte_mempool; 2],
}

impl CryptoDev {
    fn new(
        device: Rc<Cryptodev>,
        name: &'static str,
        shape: Shape,
    ) -> Result<Option<Self>, CryptoError> {
        let Some(transform) = shape.algorithm.transform() else { return Ok(None) };
        let batch = u32::try_from(BATCH).unwrap_or(0);
        let pool_name = |kind| CString::new(format!("{kind}-{name}")).unwrap_or_default();
        let (operations, mbufs) = (pool_name("operations"), pool_name("mbufs"));
        let symmetric = sys::RTE_CRYPTO_OP_TYPE_SYMMETRIC;
        // SAFETY: DPDK runs, and the strings are alive during the calls.
        let pools = unsafe {
            [
                sys::rte_crypto_op_pool_create(operations.as_ptr(), symmetric, 8 * batch, 0, 32, 0),
                sys::rte_pktmbuf_pool_create(mbufs.as_ptr(), 4 * batch, 0, 0, ROOM, 0),
            ]
        };
        let mut this = Self {
            device,
            name,
            shape,
            sessions: Vec::new(),
            salts: Vec::new(),
            mbufs: [[std::ptr::null_mut(); BATCH]; 2],
            operations: [[[std::ptr::null_mut(); BATCH]; 2]; 2],
            pools,
        };
        for sa in 0..shape.sas {
            let (cipher, auth) = shape.keys(sa);
            let key = CryptoKey { transform, cipher: &cipher, auth: &auth, esn: false };
            let seal = match this.device.session(true, &key) {
                Ok(session) => session,
                Err(CryptoError::Unsupported { .. }) if sa == 0 => return Ok(None),
                Err(error) => return Err(error),
            };
            this.sessions.push([seal, this.device.session(false, &key)?]);
            this.salts.push(cipher);
        }
        // SAFETY: the pools are asked only if they exist, and the arrays hold as many as are asked
        // for.
        let allocated = unsafe {
            pools.iter().all(|pool| !pool.is_null())
                && this
                    .mbufs
                    .iter_mut()
                    .all(|mbufs| sys::qfp_mbuf_alloc_bulk(pools[1], mbufs.as_mut_ptr(), batch) == 0)
                && this
                    .operations
                    .as_flattened_mut()
                    .iter_mut()
                    .all(|ops| sys::qfp_crypto_ops(pools[0], ops.as_mut_ptr(), batch) == 0)
        };
        let reason = || "no memory for a batch".to_owned();
        let missing = || CryptoError::Device { device: name.to_owned(), reason: reason() };
        if allocated { Ok(Some(this)) } else { Err(missing()) }
    }

    /// The packet in an mbuf.
    fn bytes(&self, set: Set, i: usize) -> *mut u8 {
        let mbuf = self.mbufs[set as usize][i].cast::<u8>();
        // SAFETY: the mbuf is ours, these are the offsets of its fields, and its buffer holds the
        // headroom and any packet.
        unsafe {
            let start =
                mbuf.add(sys::QFP_MBUF_BUF_ADDR as usize).cast::<*mut u8>().read_unaligned();
            let offset = mbuf.add(sys::QFP_MBUF_DATA_OFF as usize).cast::<u16>().read_unaligned();
            start.add(usize::from(offset))
        }
    }

    fn run(&mut self, set: Set, way: usize) -> usize {
        let batch = u32::try_from(BATCH).unwrap_or(0);
        let operations = self.operations[set as usize][way].as_mut_ptr();
        // SAFETY: the operations were described, and device and sessions are alive.
        unsafe { sys::qfp_crypto_run(self.device.id(), 0, operations, batch) as usize }
    }
}

/// Whether one algorithm enciphers and authenticates.
fn aead(algorithm: Algorithm) -> bool {
    algorithm.auth_key_len() == 0
}

impl Contestant for CryptoDev {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self, set: Set, packets: &[Packet; BATCH]) {
        let shape = self.shape;
        let len = |bytes: usize| u16::try_from(bytes).unwrap_or(0);
        let mut jobs = [[sys::qfp_crypto_job::default(); BATCH]; 2];
        for (i, packet) in packets.iter().enumerate() {
            // SAFETY: the buffer is larger than any packet, and nobody else has the mbuf.
            let bytes = unsafe { std::slice::from_raw_parts_mut(self.bytes(set, i), shape.end()) };
            fill(bytes, *packet, shape);
            for (way, jobs) in jobs.iter_mut().enumerate() {
                let mut iv = packet.iv();
                if aead(shape.algorithm) {
                    iv[..12].copy_from_slice(&packet.nonce(&self.salts[packet.sa]));
                }
                jobs[i] = sys::qfp_crypto_job {
                    session: self.sessions[packet.sa][way].as_ptr(),
                    mbuf: self.mbufs[set as usize][i],
                    aead: aead(shape.algorithm),
                    iv_len: if aead(shape.algorithm) { 12 } else { 16 },
                    iv,
                    aad_len: 0,
                    aad: [0; 16],
                    head: len(shape.header()),
                    text: len(PAYLOAD),
                    text_len: len(shape.len),
                    tag: len(PAYLOAD + shape.len),
                    end: len(shape.end()),
                };
            }
        }
        let batch = u32::try_from(BATCH).unwrap_or(0);
        for (operations, jobs) in self.operations[set as usize].iter_mut().zip(&jobs) {
            // SAFETY: as many operations as jobs; all that they name is alive.
            unsafe { sys::qfp_crypto_describe(operations.as_mut_ptr(), jobs.as_ptr(), batch) };
        }
    }

    fn seal(&mut self, set: Set) -> usize {
        self.run(set, 0)
    }

    fn open(&mut self, set: Set) -> usize {
        self.run(set, 1)
    }

    fn sealed(&self, i: usize) -> &[u8] {
        // SAFETY: the packet lies there, and nobody writes it now.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.bytes(Set::Measured, i), self.shape.end()) };
        &bytes[PAYLOAD..]
    }
}

impl Drop for CryptoDev {
    fn drop(&mut self) {
        for session in self.sessions.drain(..).flatten() {
            self.device.free(session);
        }
        for pool in self.pools {
            // SAFETY: nothing of it is in use any more; a null pool is ignored.
            unsafe { sys::rte_mempool_free(pool) };
        }
    }
}
