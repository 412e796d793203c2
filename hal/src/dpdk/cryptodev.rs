//! DPDK's cryptodevs: a device that has been started, and its sessions.

use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;

use super::eal::Eal;
use super::{error_text, last_error};
use crate::crypto::{CryptoError, CryptoKey, Hash, Transform};

/// Makes the names of pools differ within a process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// One of DPDK's crypto devices, started, with one queue pair and room for sessions.
///
/// [`super::DpdkCrypto`] is what seals and opens packets with it.
pub struct Cryptodev {
    id: u8,
    name: String,
    sessions: *mut sys::rte_mempool,
    _eal: Eal,
}

// SAFETY: control calls on the device are made by whoever has the value, and pools may be used from
// any thread.
unsafe impl Send for Cryptodev {}

/// A key that a device has, in one direction. It is given back with [`Cryptodev::free`].
#[derive(Debug)]
pub struct Session(*mut c_void);

// SAFETY: an address, which only the device looks behind.
unsafe impl Send for Session {}

impl Session {
    /// As operations name it.
    #[must_use]
    pub fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

impl Cryptodev {
    /// Opens the device called `device`, such as `crypto_aesni_gcm0`, with room for `sessions`.
    /// Software devices exist after `--vdev=NAME` among the EAL's arguments.
    ///
    /// # Errors
    /// There is no such device, it does not start, or there is no memory.
    pub fn open(eal: &Eal, device: &str, sessions: usize) -> Result<Self, CryptoError> {
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
        let name = pool_name("sessions");
        let count = u32::try_from(sessions.max(1)).unwrap_or(u32::MAX);
        // SAFETY: the device is started, and the string is alive during the call.
        let pool = unsafe {
            let size = sys::rte_cryptodev_sym_get_private_session_size(id);
            sys::rte_cryptodev_sym_session_pool_create(name.as_ptr(), count, size, 0, 0, 0)
        };
        let this = Self { id, name: device.to_owned(), sessions: pool, _eal: eal.clone() };
        if pool.is_null() { Err(failed(last_error())) } else { Ok(this) }
    }

    /// DPDK's number of the device.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A session that seals, or opens, under a key.
    ///
    /// # Errors
    /// The key has another length than the algorithm takes, or the device lacks the algorithm or
    /// the memory.
    pub fn session(&self, seal: bool, key: &CryptoKey<'_>) -> Result<Session, CryptoError> {
        let (cipher, _) = split(key).ok_or(CryptoError::KeyLength(key.transform))?;
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
        let session = unsafe {
            sys::rte_cryptodev_sym_session_create(self.id, &raw mut first, self.sessions)
        };
        let CryptoKey { transform, esn, .. } = *key;
        let unsupported = || CryptoError::Unsupported { device: self.name.clone(), transform, esn };
        if session.is_null() { Err(unsupported()) } else { Ok(Session(session)) }
    }

    /// Forgets a session of this device, of which no operation is under way.
    #[expect(clippy::needless_pass_by_value, reason = "nobody has it afterwards")]
    pub fn free(&self, session: Session) {
        // SAFETY: this device made it.
        unsafe { sys::rte_cryptodev_sym_session_free(self.id, session.0) };
    }
}

impl Drop for Cryptodev {
    fn drop(&mut self) {
        // SAFETY: no operation is under way; a null pool is ignored. The EAL is still there.
        unsafe {
            sys::rte_cryptodev_stop(self.id);
            sys::rte_mempool_free(self.sessions);
        }
    }
}

/// A name for a pool that no other has.
pub(super) fn pool_name(kind: &str) -> CString {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    CString::new(format!("qfp-{kind}-{serial}")).unwrap_or_default()
}

/// The cipher's key and its salt; none where a length is wrong.
pub(super) fn split<'a>(key: &CryptoKey<'a>) -> Option<(&'a [u8], [u8; 4])> {
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
