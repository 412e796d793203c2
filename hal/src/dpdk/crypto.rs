//! DPDK's cryptodevs as crypto devices: Intel's multi-buffer library in software, or hardware.

use std::ffi::{CString, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;

use super::eal::Eal;
use super::{error_text, last_error, mbuf};
use crate::Packet;
use crate::crypto::{
    BATCH, CryptoDevice, CryptoError, CryptoKey, Hash, Job, Outcome, Outcomes, Transform,
};
use crate::pool::Origin;

/// Makes the names of pools differ within a process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// Bytes of a frame that is copied at most, and of the mbuf that it is copied into.
const FRAME: usize = 16 << 10;
const ROOM: u16 = 16 * 1024 + 128;

/// Packets of a batch, as C counts them.
const COUNT: u32 = 64;
const _: () = assert!(COUNT as usize == BATCH);

/// Bytes of IV and AAD behind an operation.
const PRIVATE: u16 = 32;

/// One of DPDK's crypto devices, with one queue and a table of keys.
///
/// Packets in mbufs are done where they are; others are copied into mbufs of the device's own and
/// back. A batch is waited for, which suits devices that work on the calling core, such as
/// `crypto_aesni_gcm` and `crypto_aesni_mb`.
pub struct DpdkCrypto {
    id: u8,
    name: String,
    rows: Vec<Option<Row>>,
    sessions: *mut sys::rte_mempool,
    operations: Operations,
    copies: Copies,
    _eal: Eal,
}

// SAFETY: queue, operations and mbufs are this value's alone, and the pools may be used from any
// thread.
unsafe impl Send for DpdkCrypto {}

/// A key that the device has.
struct Row {
    transform: Transform,
    salt: [u8; 4],
    aad_len: usize,
    /// To seal and to open.
    sessions: [*mut c_void; 2],
}

/// One operation for each packet of a batch.
struct Operations {
    pool: *mut sys::rte_mempool,
    all: [*mut sys::rte_crypto_op; BATCH],
}

/// Mbufs that packets of other pools are copied into.
struct Copies {
    pool: *mut sys::rte_mempool,
    all: [*mut sys::rte_mbuf; BATCH],
}

impl DpdkCrypto {
    /// Opens the device called `device`, such as `crypto_aesni_gcm0`, with room for `rows` keys.
    /// Software devices exist after `--vdev=NAME` among the EAL's arguments.
    ///
    /// # Errors
    /// There is no such device, it does not start, or there is no memory.
    pub fn open(eal: &Eal, device: &str, rows: usize) -> Result<Self, CryptoError> {
        let failed = |reason: String| CryptoError::Device { device: device.to_owned(), reason };
        let check = |call: &str, code: i32| match code {
            0.. => Ok(code),
            _ => Err(failed(format!("{call}: {}", error_text(code)))),
        };
        let name = CString::new(device).map_err(|_| failed("not a name".to_owned()))?;
        // SAFETY: a string with its end.
        let id = check("no such device", unsafe { sys::rte_cryptodev_get_dev_id(name.as_ptr()) })?;
        let id = u8::try_from(id).map_err(|_| failed("its number is too large".to_owned()))?;
        let mut config = sys::rte_cryptodev_config { nb_queue_pairs: 1, ..Default::default() };
        // SAFETY: the device exists, and the structure is alive during the call.
        check("configure", unsafe { sys::rte_cryptodev_configure(id, &raw mut config) })?;
        let queue = sys::rte_cryptodev_qp_conf { nb_descriptors: 2048, ..Default::default() };
        // SAFETY: as above; the queue is one that was configured.
        let code = unsafe { sys::rte_cryptodev_queue_pair_setup(id, 0, &raw const queue, -1) };
        check("queue pair", code)?;
        // SAFETY: it is configured.
        check("start", unsafe { sys::rte_cryptodev_start(id) })?;
        let mut this = Self {
            id,
            name: device.to_owned(),
            rows: (0..rows).map(|_| None).collect(),
            sessions: null_mut(),
            operations: Operations { pool: null_mut(), all: [null_mut(); BATCH] },
            copies: Copies { pool: null_mut(), all: [null_mut(); BATCH] },
            _eal: eal.clone(),
        };
        this.allocate(rows).map_err(failed)?;
        Ok(this)
    }

    /// Makes pools, operations and mbufs.
    fn allocate(&mut self, rows: usize) -> Result<(), String> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = |kind: &str| CString::new(format!("qfp-{kind}-{serial}")).unwrap_or_default();
        let count = u32::try_from(rows.max(1) * 2).unwrap_or(u32::MAX);
        // SAFETY: the device is started; the strings are alive during the calls, and the arrays
        // hold as many elements as are asked for.
        unsafe {
            let size = sys::rte_cryptodev_sym_get_private_session_size(self.id);
            let sessions = name("sessions");
            self.sessions =
                sys::rte_cryptodev_sym_session_pool_create(sessions.as_ptr(), count, size, 0, 0, 0);
            let (symmetric, operations) = (sys::RTE_CRYPTO_OP_TYPE_SYMMETRIC, name("operations"));
            self.operations.pool = sys::rte_crypto_op_pool_create(
                operations.as_ptr(),
                symmetric,
                COUNT,
                0,
                PRIVATE,
                0,
            );
            let copies = name("copies");
            self.copies.pool = sys::rte_pktmbuf_pool_create(copies.as_ptr(), COUNT, 0, 0, ROOM, 0);
            if self.sessions.is_null()
                || self.operations.pool.is_null()
                || self.copies.pool.is_null()
            {
                return Err(last_error());
            }
            let (pool, all) = (self.operations.pool, self.operations.all.as_mut_ptr());
            if sys::qfp_crypto_ops(pool, all, COUNT) != 0 {
                return Err("no operations".to_owned());
            }
            let (pool, all) = (self.copies.pool, self.copies.all.as_mut_ptr());
            if sys::qfp_mbuf_alloc_bulk(pool, all, COUNT) != 0 {
                return Err("no mbufs".to_owned());
            }
        }
        Ok(())
    }

    /// A session, or null where the device lacks it.
    fn session(&self, seal: bool, key: &CryptoKey<'_>, cipher: &[u8]) -> *mut c_void {
        let offset = u16::try_from(sys::QFP_CRYPTO_IV).unwrap_or(0);
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(0);
        let tag = u16::try_from(key.transform.tag_len()).unwrap_or(0);
        let mut first = sys::rte_crypto_sym_xform::default();
        let mut second = sys::rte_crypto_sym_xform::default();
        if let Transform::AesCbc(hash) = key.transform {
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
            (form.key.data, form.key.length) = (cipher.as_ptr(), len(cipher));
            (form.iv.offset, form.iv.length) = (offset, 16);
            mac.type_ = sys::RTE_CRYPTO_SYM_XFORM_AUTH;
            // SAFETY: as above.
            let form = unsafe { &mut mac.__bindgen_anon_1.auth };
            form.op = if seal {
                sys::RTE_CRYPTO_AUTH_OP_GENERATE
            } else {
                sys::RTE_CRYPTO_AUTH_OP_VERIFY
            };
            form.algo = match hash {
                Hash::Sha256 => sys::RTE_CRYPTO_AUTH_SHA256_HMAC,
                Hash::Sha384 => sys::RTE_CRYPTO_AUTH_SHA384_HMAC,
                Hash::Sha512 => sys::RTE_CRYPTO_AUTH_SHA512_HMAC,
            };
            (form.key.data, form.key.length) = (key.auth.as_ptr(), len(key.auth));
            form.digest_length = tag;
            first.next = &raw mut second;
        } else {
            first.type_ = sys::RTE_CRYPTO_SYM_XFORM_AEAD;
            // SAFETY: as above.
            let form = unsafe { &mut first.__bindgen_anon_1.aead };
            form.op = if seal {
                sys::RTE_CRYPTO_AEAD_OP_ENCRYPT
            } else {
                sys::RTE_CRYPTO_AEAD_OP_DECRYPT
            };
            form.algo = match key.transform {
                Transform::ChaCha20Poly1305 => sys::RTE_CRYPTO_AEAD_CHACHA20_POLY1305,
                _ => sys::RTE_CRYPTO_AEAD_AES_GCM,
            };
            (form.key.data, form.key.length) = (cipher.as_ptr(), len(cipher));
            (form.iv.offset, form.iv.length) = (offset, 12);
            form.digest_length = tag;
            form.aad_length = if key.esn { 12 } else { 8 };
        }
        // SAFETY: the forms and keys are alive during the call, which copies what it needs.
        unsafe { sys::rte_cryptodev_sym_session_create(self.id, &raw mut first, self.sessions) }
    }

    fn run(&mut self, seal: bool, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        let mut outcomes = Outcomes::NONE;
        let mut described = [sys::qfp_crypto_job::default(); BATCH];
        // Which packet each operation is about.
        let (mut numbers, mut count) = ([0; BATCH], 0);
        for (i, (job, packet)) in jobs.iter().zip(packets.iter_mut()).enumerate().take(BATCH) {
            let row = self.rows.get(job.key as usize).and_then(Option::as_ref);
            let Some(row) = row.filter(|row| row.aad_len == job.aad.len()) else { continue };
            if let Err(refused) = row.check(job, packet.frame().len()) {
                outcomes.0[i] = refused;
                continue;
            }
            let mbuf = self.copies.place(count, packet);
            described[count] = row.describe(seal, job, mbuf, packet.frame().len());
            numbers[count] = i;
            count += 1;
        }
        let operations = self.operations.all.as_mut_ptr();
        let len = u32::try_from(count).unwrap_or(0);
        // SAFETY: as many operations as jobs; mbufs, sessions and device are alive, offsets lie
        // within the packets, and nobody else uses the queue.
        let succeeded = unsafe {
            sys::qfp_crypto_describe(operations, described.as_ptr(), len);
            sys::qfp_crypto_run(self.id, 0, operations, len);
            sys::qfp_crypto_succeeded(operations, len)
        };
        for (n, &i) in numbers.iter().enumerate().take(count) {
            let (job, packet) = (&jobs[i], &mut packets[i]);
            self.copies.fetch(n, packet);
            outcomes.0[i] = if succeeded >> n & 1 == 1 {
                Outcome::Done
            } else {
                packet.frame_mut()[job.payload_range()].fill(0);
                Outcome::NotAuthentic
            };
        }
        outcomes
    }
}

impl Row {
    /// Whether the job fits the packet and the cipher; offsets of a job are below 2^16 then.
    fn check(&self, job: &Job, len: usize) -> Result<(), Outcome> {
        let (payload, tag) = (job.payload_range(), job.tag_range(self.transform.tag_len()));
        let outside = payload.end > len || tag.end > len || len > FRAME;
        // The HMAC covers header and IV, which lie in front of the payload.
        let front = if self.transform.is_aead() { 0 } else { CBC_FRONT };
        if outside || payload.start < front || (tag.start < payload.end && payload.start < tag.end)
        {
            return Err(Outcome::OutOfRange);
        }
        if job.payload_len & (self.transform.block() - 1) != 0 {
            return Err(Outcome::BadLength);
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "offsets in a frame, checked above")]
    fn describe(
        &self,
        seal: bool,
        job: &Job,
        mbuf: *mut sys::rte_mbuf,
        len: usize,
    ) -> sys::qfp_crypto_job {
        let aead = self.transform.is_aead();
        let mut iv = job.iv.bytes();
        if aead {
            iv = [0; 16];
            iv[..4].copy_from_slice(&self.salt);
            iv[4..12].copy_from_slice(&job.iv.bytes()[..8]);
        }
        sys::qfp_crypto_job {
            session: self.sessions[usize::from(!seal)],
            mbuf,
            aead,
            iv_len: if aead { 12 } else { 16 },
            iv,
            aad_len: self.aad_len as u8,
            aad: job.aad.padded(),
            head: (job.payload as u16).saturating_sub(CBC_FRONT as u16),
            text: job.payload as u16,
            text_len: job.payload_len as u16,
            tag: job.tag as u16,
            end: len as u16,
        }
    }
}

/// SPI, sequence number and IV in front of a payload that CBC enciphers.
const CBC_FRONT: usize = 8 + 16;

impl Copies {
    /// The packet's own mbuf, which is told where the frame lies, or mbuf number `n` with a copy.
    fn place(&self, n: usize, packet: &Packet) -> *mut sys::rte_mbuf {
        let (origin, buf, data, len) = packet.raw();
        if origin == Origin::Mbuf {
            // SAFETY: the caller's borrow makes this the mbuf's only user.
            unsafe { mbuf::write_back(buf, data, len) };
            return buf.cast();
        }
        // SAFETY: the mbuf is ours and has room for `FRAME` bytes, which the caller has checked.
        unsafe {
            let start = mbuf::frame_start(self.all[n].cast());
            std::ptr::copy_nonoverlapping(data, start, usize::from(len));
            mbuf::write_back(self.all[n].cast(), start, len);
        }
        self.all[n]
    }

    /// Copies the frame back, if it was copied.
    fn fetch(&self, n: usize, packet: &mut Packet) {
        if packet.raw().0 != Origin::Mbuf {
            let frame = packet.frame_mut();
            // SAFETY: mbuf number `n` holds a copy of this frame, of the same length.
            unsafe {
                let start = mbuf::frame_start(self.all[n].cast());
                std::ptr::copy_nonoverlapping(start, frame.as_mut_ptr(), frame.len());
            }
        }
    }
}

impl CryptoDevice for DpdkCrypto {
    fn name(&self) -> &str {
        &self.name
    }

    fn set_key(&mut self, row: u32, key: &CryptoKey<'_>) -> Result<(), CryptoError> {
        self.clear_key(row);
        let rows = self.rows.len();
        let CryptoKey { transform, esn, .. } = *key;
        let (cipher, salt) = split(key).ok_or(CryptoError::KeyLength(transform))?;
        if row as usize >= rows {
            return Err(CryptoError::NoRow { row, rows });
        }
        let device = self.name.clone();
        let unsupported = CryptoError::Unsupported { device, transform, esn };
        // The high half of the number would have to follow the payload.
        if esn && !transform.is_aead() {
            return Err(unsupported);
        }
        let sessions = [true, false].map(|seal| self.session(seal, key, cipher));
        let aad_len = if esn { 12 } else { 8 };
        let new = Row { transform, salt, aad_len, sessions };
        if sessions.iter().any(|session| session.is_null()) {
            self.free(&new);
            return Err(unsupported);
        }
        self.rows[row as usize] = Some(new);
        Ok(())
    }

    fn clear_key(&mut self, row: u32) {
        if let Some(row) = self.rows.get_mut(row as usize).and_then(Option::take) {
            self.free(&row);
        }
    }

    fn seal(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        self.run(true, jobs, packets)
    }

    fn open(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        self.run(false, jobs, packets)
    }
}

/// The cipher's key and its salt; none where a length is wrong.
fn split<'a>(key: &CryptoKey<'a>) -> Option<(&'a [u8], [u8; 4])> {
    let (cipher, salt) = match key.transform {
        Transform::AesCbc(_) => (key.cipher, [0; 4]),
        _ => key.cipher.split_last_chunk().map(|(cipher, salt)| (cipher, *salt))?,
    };
    let auth = match key.transform {
        Transform::AesGcm | Transform::ChaCha20Poly1305 => 0,
        Transform::AesCbc(hash) => match hash {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        },
    };
    let fits = match key.transform {
        Transform::ChaCha20Poly1305 => cipher.len() == 32,
        _ => matches!(cipher.len(), 16 | 32),
    };
    (fits && key.auth.len() == auth).then_some((cipher, salt))
}

impl DpdkCrypto {
    fn free(&self, row: &Row) {
        for session in row.sessions.iter().filter(|session| !session.is_null()) {
            // SAFETY: this device made it, and no operation is under way.
            unsafe { sys::rte_cryptodev_sym_session_free(self.id, *session) };
        }
    }
}

impl Drop for DpdkCrypto {
    fn drop(&mut self) {
        for row in self.rows.iter().flatten() {
            self.free(row);
        }
        // SAFETY: no operation is under way; what was allocated is freed once, before its pool, and
        // a null pool is ignored. The EAL is still there.
        unsafe {
            if !self.operations.all[0].is_null() {
                sys::qfp_crypto_ops_free(self.operations.all.as_mut_ptr(), COUNT);
            }
            if !self.copies.all[0].is_null() {
                sys::rte_pktmbuf_free_bulk(self.copies.all.as_mut_ptr(), COUNT);
            }
            sys::rte_cryptodev_stop(self.id);
            for pool in [self.sessions, self.operations.pool, self.copies.pool] {
                sys::rte_mempool_free(pool);
            }
        }
    }
}
