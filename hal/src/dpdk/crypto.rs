//! DPDK's cryptodevs as crypto devices: Intel's multi-buffer library in software, or hardware.

use std::ptr::null_mut;

use dpdk_sys as sys;

use super::cryptodev::{Cryptodev, Session, pool_name, split};
use super::eal::Eal;
use super::{last_error, mbuf};
use crate::Packet;
use crate::crypto::{
    BATCH, CryptoDevice, CryptoError, CryptoKey, Job, Outcome, Outcomes, Transform,
};
use crate::pool::Origin;

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
    device: Cryptodev,
    rows: Vec<Option<Row>>,
    operations: Operations,
    copies: Copies,
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
    sessions: [Session; 2],
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
        let mut this = Self {
            // Of each key one to seal and one to open.
            device: Cryptodev::open(eal, device, rows * 2)?,
            rows: (0..rows).map(|_| None).collect(),
            operations: Operations { pool: null_mut(), all: [null_mut(); BATCH] },
            copies: Copies { pool: null_mut(), all: [null_mut(); BATCH] },
        };
        let failed = |reason| CryptoError::Device { device: device.to_owned(), reason };
        this.allocate().map_err(failed)?;
        Ok(this)
    }

    /// Makes pools, operations and mbufs.
    fn allocate(&mut self) -> Result<(), String> {
        let symmetric = sys::RTE_CRYPTO_OP_TYPE_SYMMETRIC;
        let (operations, copies) = (pool_name("operations"), pool_name("copies"));
        // SAFETY: the device is started; the strings are alive during the calls, and the arrays
        // hold as many elements as are asked for.
        unsafe {
            let operations = operations.as_ptr();
            self.operations.pool =
                sys::rte_crypto_op_pool_create(operations, symmetric, COUNT, 0, PRIVATE, 0);
            self.copies.pool = sys::rte_pktmbuf_pool_create(copies.as_ptr(), COUNT, 0, 0, ROOM, 0);
            if self.operations.pool.is_null() || self.copies.pool.is_null() {
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
            sys::qfp_crypto_run(self.device.id(), 0, operations, len);
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
            session: self.sessions[usize::from(!seal)].as_ptr(),
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
        self.device.name()
    }

    fn set_key(&mut self, row: u32, key: &CryptoKey<'_>) -> Result<(), CryptoError> {
        self.clear_key(row);
        let rows = self.rows.len();
        let CryptoKey { transform, esn, .. } = *key;
        let (_, salt) = split(key).ok_or(CryptoError::KeyLength(transform))?;
        if row as usize >= rows {
            return Err(CryptoError::NoRow { row, rows });
        }
        // The high half of the number would have to follow the payload.
        if esn && !transform.is_aead() {
            let device = self.device.name().to_owned();
            return Err(CryptoError::Unsupported { device, transform, esn });
        }
        let seal = self.device.session(true, key)?;
        let sessions = match self.device.session(false, key) {
            Ok(open) => [seal, open],
            Err(error) => {
                self.device.free(seal);
                return Err(error);
            }
        };
        let aad_len = if esn { 12 } else { 8 };
        self.rows[row as usize] = Some(Row { transform, salt, aad_len, sessions });
        Ok(())
    }

    fn clear_key(&mut self, row: u32) {
        if let Some(row) = self.rows.get_mut(row as usize).and_then(Option::take) {
            row.sessions.into_iter().for_each(|session| self.device.free(session));
        }
    }

    fn seal(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        self.run(true, jobs, packets)
    }

    fn open(&mut self, jobs: &[Job], packets: &mut [Packet]) -> Outcomes {
        self.run(false, jobs, packets)
    }
}

impl Drop for DpdkCrypto {
    fn drop(&mut self) {
        for row in self.rows.drain(..).flatten() {
            row.sessions.into_iter().for_each(|session| self.device.free(session));
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
            for pool in [self.operations.pool, self.copies.pool] {
                sys::rte_mempool_free(pool);
            }
        }
    }
}
