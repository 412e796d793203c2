//! DPDK's software cryptodevs, which are Intel's multi-buffer library.
#![expect(unsafe_code, reason = "the devices are C")]

use std::ffi::{CStr, CString, c_void};

use dpdk_sys as sys;
use qfp::core::crypto::{Algorithm, BATCH};
use qfp::hal::dpdk::{Eal, EalError};

use crate::contest::{Contestant, Set};
use crate::packets::{PAYLOAD, Packet, Shape, fill};

/// Megabytes of DPDK's heap: sessions of 4096 SAs, both ways.
const MEGABYTES: &str = "512";
/// Bytes of an mbuf's buffer: the largest packets and the headroom.
const ROOM: u16 = 8192 + 512;

/// Why a device does not take part.
#[derive(Debug, thiserror::Error)]
enum DeviceError {
    /// DPDK does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// A call failed.
    #[error("{name}: {call} fails ({code})")]
    Call { name: &'static str, call: &'static str, code: i32 },
    /// There is no memory for a pool or a session, or the device lacks the algorithm.
    #[error("{name}: no {what} for {algorithm}")]
    Missing { name: &'static str, what: &'static str, algorithm: &'static str },
}

/// A device that runs.
#[derive(Clone, Copy)]
struct Device {
    id: u8,
    name: &'static str,
}

/// The devices there are.
pub(crate) struct Devices {
    devices: Vec<Device>,
    _eal: Eal,
}

impl Devices {
    /// Starts DPDK with both devices; none, aloud, if that fails.
    pub(crate) fn start() -> Option<Self> {
        let args = ["--no-pci", "--no-telemetry", "--log-level=4", "--no-huge", "-m", MEGABYTES]
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
        for (name, short) in
            [(c"crypto_aesni_gcm0", "aesni_gcm"), (c"crypto_aesni_mb0", "aesni_mb")]
        {
            match Device::start(name, short) {
                Ok(device) => devices.push(device),
                Err(error) => eprintln!("A PEER IS MISSING: {error}"),
            }
        }
        Some(Self { devices, _eal: eal })
    }

    /// Those that have the algorithm.
    pub(crate) fn contestants(&self, shape: Shape) -> Vec<Box<dyn Contestant>> {
        let mut contestants: Vec<Box<dyn Contestant>> = Vec::new();
        for &device in &self.devices {
            if !device.has(shape.algorithm) {
                continue;
            }
            match CryptoDev::new(device, shape) {
                Ok(contestant) => contestants.push(Box::new(contestant)),
                Err(error) => eprintln!("{error}"),
            }
        }
        contestants
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        for device in &self.devices {
            // SAFETY: the device was started, and no session of it is left.
            unsafe {
                sys::rte_cryptodev_stop(device.id);
                sys::rte_cryptodev_close(device.id);
            }
        }
    }
}

impl Device {
    fn start(vdev: &CStr, name: &'static str) -> Result<Self, DeviceError> {
        let check = |call, code| match code {
            0.. => Ok(code),
            _ => Err(DeviceError::Call { name, call, code }),
        };
        // SAFETY: a string with its end.
        let id = check("get_dev_id", unsafe { sys::rte_cryptodev_get_dev_id(vdev.as_ptr()) })?;
        let id = u8::try_from(id).unwrap_or(u8::MAX);
        let mut config = sys::rte_cryptodev_config { nb_queue_pairs: 1, ..Default::default() };
        // SAFETY: the device exists, and the structure is alive during the call.
        check("configure", unsafe { sys::rte_cryptodev_configure(id, &raw mut config) })?;
        let queue = sys::rte_cryptodev_qp_conf { nb_descriptors: 2048, ..Default::default() };
        // SAFETY: as above; the queue is one that was configured.
        let code = unsafe { sys::rte_cryptodev_queue_pair_setup(id, 0, &raw const queue, -1) };
        check("queue_pair_setup", code)?;
        // SAFETY: it is configured.
        check("start", unsafe { sys::rte_cryptodev_start(id) })?;
        Ok(Self { id, name })
    }

    fn has(self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match algorithm {
            A::Aes128Gcm | A::Aes256Gcm => true,
            A::ChaCha20Poly1305
            | A::Aes128CbcSha256
            | A::Aes256CbcSha256
            | A::Aes128CbcSha384
            | A::Aes256CbcSha384
            | A::Aes128CbcSha512
            | A::Aes256CbcSha512 => self.name == "aesni_mb",
            _ => false,
        }
    }
}

/// Operations of a batch, in one direction.
type Operations = [*mut sys::rte_crypto_op; BATCH];

/// A device with sessions for all SAs, and a batch.
struct CryptoDev {
    device: Device,
    shape: Shape,
    /// Of each SA, to seal and to open.
    sessions: Vec<[*mut c_void; 2]>,
    salts: Vec<Vec<u8>>,
    mbufs: [[*mut sys::rte_mbuf; BATCH]; 2],
    /// Of each set, to seal and to open.
    operations: [[Operations; 2]; 2],
    pools: [*mut sys::rte_mempool; 3],
}

impl CryptoDev {
    fn new(device: Device, shape: Shape) -> Result<Self, DeviceError> {
        let missing = |what| DeviceError::Missing {
            name: device.name,
            what,
            algorithm: shape.algorithm.name(),
        };
        let count = u32::try_from(shape.sas * 2).unwrap_or(u32::MAX);
        let batch = u32::try_from(BATCH).unwrap_or(0);
        let name = |kind: &str| CString::new(format!("{kind}-{}", device.name)).unwrap_or_default();
        let symmetric = sys::RTE_CRYPTO_OP_TYPE_SYMMETRIC;
        // SAFETY: the device is started, and the strings are alive during the calls.
        let pools = unsafe {
            let size = sys::rte_cryptodev_sym_get_private_session_size(device.id);
            [
                sys::rte_cryptodev_sym_session_pool_create(
                    name("sessions").as_ptr(),
                    count,
                    size,
                    0,
                    0,
                    0,
                ),
                sys::rte_crypto_op_pool_create(
                    name("operations").as_ptr(),
                    symmetric,
                    8 * batch,
                    0,
                    32,
                    0,
                ),
                sys::rte_pktmbuf_pool_create(name("mbufs").as_ptr(), 4 * batch, 0, 0, ROOM, 0),
            ]
        };
        let mut this = Self {
            device,
            shape,
            sessions: Vec::new(),
            salts: Vec::new(),
            mbufs: [[std::ptr::null_mut(); BATCH]; 2],
            operations: [[[std::ptr::null_mut(); BATCH]; 2]; 2],
            pools,
        };
        if pools.iter().any(|pool| pool.is_null()) {
            return Err(missing("memory"));
        }
        for sa in 0..shape.sas {
            let (cipher, auth) = shape.keys(sa);
            let both = [true, false].map(|seal| this.session(seal, &cipher, &auth));
            this.sessions.push(both);
            this.salts.push(cipher);
            if both.iter().any(|session| session.is_null()) {
                return Err(missing("session"));
            }
        }
        // SAFETY: the pools exist, and the arrays hold as many as are asked for.
        let failed = unsafe {
            this.mbufs
                .iter_mut()
                .any(|mbufs| sys::qfp_mbuf_alloc_bulk(pools[2], mbufs.as_mut_ptr(), batch) != 0)
                || this
                    .operations
                    .as_flattened_mut()
                    .iter_mut()
                    .any(|ops| sys::qfp_crypto_ops(pools[1], ops.as_mut_ptr(), batch) != 0)
        };
        if failed { Err(missing("operations")) } else { Ok(this) }
    }

    /// A session, or null.
    fn session(&self, seal: bool, cipher: &[u8], auth: &[u8]) -> *mut c_void {
        use Algorithm as A;
        let algorithm = self.shape.algorithm;
        let offset = u16::try_from(sys::QFP_CRYPTO_IV).unwrap_or(0);
        let tag = u16::try_from(algorithm.tag_len()).unwrap_or(0);
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(0);
        let mut first = sys::rte_crypto_sym_xform::default();
        let mut second = sys::rte_crypto_sym_xform::default();
        if aead(algorithm) {
            let key = &cipher[..cipher.len() - 4];
            first.type_ = sys::RTE_CRYPTO_SYM_XFORM_AEAD;
            // SAFETY: the fields of the member that the type names, in zeroed memory.
            let form = unsafe { &mut first.__bindgen_anon_1.aead };
            form.op = if seal {
                sys::RTE_CRYPTO_AEAD_OP_ENCRYPT
            } else {
                sys::RTE_CRYPTO_AEAD_OP_DECRYPT
            };
            form.algo = if algorithm == A::ChaCha20Poly1305 {
                sys::RTE_CRYPTO_AEAD_CHACHA20_POLY1305
            } else {
                sys::RTE_CRYPTO_AEAD_AES_GCM
            };
            form.key.data = key.as_ptr();
            form.key.length = len(key);
            form.iv.offset = offset;
            form.iv.length = 12;
            form.digest_length = tag;
            form.aad_length = 8;
        } else {
            let (text, mac) =
                if seal { (&mut first, &mut second) } else { (&mut second, &mut first) };
            text.type_ = sys::RTE_CRYPTO_SYM_XFORM_CIPHER;
            // SAFETY: the fields of the member that the type names, in zeroed memory.
            let form = unsafe { &mut text.__bindgen_anon_1.cipher };
            form.op = if seal {
                sys::RTE_CRYPTO_CIPHER_OP_ENCRYPT
            } else {
                sys::RTE_CRYPTO_CIPHER_OP_DECRYPT
            };
            form.algo = sys::RTE_CRYPTO_CIPHER_AES_CBC;
            form.key.data = cipher.as_ptr();
            form.key.length = len(cipher);
            form.iv.offset = offset;
            form.iv.length = 16;
            mac.type_ = sys::RTE_CRYPTO_SYM_XFORM_AUTH;
            // SAFETY: as above.
            let form = unsafe { &mut mac.__bindgen_anon_1.auth };
            form.op = if seal {
                sys::RTE_CRYPTO_AUTH_OP_GENERATE
            } else {
                sys::RTE_CRYPTO_AUTH_OP_VERIFY
            };
            form.algo = match auth.len() {
                32 => sys::RTE_CRYPTO_AUTH_SHA256_HMAC,
                48 => sys::RTE_CRYPTO_AUTH_SHA384_HMAC,
                _ => sys::RTE_CRYPTO_AUTH_SHA512_HMAC,
            };
            form.key.data = auth.as_ptr();
            form.key.length = len(auth);
            form.digest_length = tag;
            first.next = &raw mut second;
        }
        // SAFETY: the forms and keys are alive during the call, which copies what it needs.
        unsafe {
            sys::rte_cryptodev_sym_session_create(self.device.id, &raw mut first, self.pools[0])
        }
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
        unsafe { sys::qfp_crypto_run(self.device.id, 0, operations, batch) as usize }
    }
}

/// Whether one algorithm enciphers and authenticates.
fn aead(algorithm: Algorithm) -> bool {
    algorithm.auth_key_len() == 0
}

impl Contestant for CryptoDev {
    fn name(&self) -> &'static str {
        self.device.name
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
                    session: self.sessions[packet.sa][way],
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
        for session in self.sessions.iter().flatten().filter(|session| !session.is_null()) {
            // SAFETY: it was made by this device, and no operation is under way.
            unsafe { sys::rte_cryptodev_sym_session_free(self.device.id, *session) };
        }
        for pool in self.pools {
            // SAFETY: nothing of it is in use any more; a null pool is ignored.
            unsafe { sys::rte_mempool_free(pool) };
        }
    }
}
