//! AES-CBC (RFC 3602), by any kernel.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes128Dec, Aes128Enc, Aes256Dec, Aes256Enc, Block};
use cbc::{Decryptor, Encryptor};

use super::algorithm::KeySize;
use super::simd::Chain;
use super::tier::Kernel;

/// Enciphers or deciphers the whole blocks of all packets in place.
pub(super) fn run<'a, const SEAL: bool>(
    kernel: Kernel,
    size: KeySize,
    chains: impl Iterator<Item = Chain<'a>>,
) {
    match kernel {
        Kernel::Vaes512(vaes) => vaes.aes_ni().cbc::<SEAL>(size, chains),
        Kernel::AesNi(aes) => aes.cbc::<SEAL>(size, chains),
        Kernel::Portable => chains.for_each(|chain| crypt::<SEAL>(size, chain)),
    }
}

/// One packet, by the crates `aes` and `cbc`.
fn crypt<const SEAL: bool>(size: KeySize, chain: Chain<'_>) {
    let Chain { key, iv, data } = chain;
    let blocks = Block::cast_slice_from_core_mut(data.as_chunks_mut().0);
    let iv = iv.into();
    match (size, SEAL) {
        (KeySize::Aes128, true) => {
            Encryptor::<Aes128Enc>::new(&key.raw::<16>().into(), &iv).encrypt_blocks(blocks);
        }
        (KeySize::Aes256, true) => {
            Encryptor::<Aes256Enc>::new(&key.raw::<32>().into(), &iv).encrypt_blocks(blocks);
        }
        (KeySize::Aes128, false) => {
            Decryptor::<Aes128Dec>::new(&key.raw::<16>().into(), &iv).decrypt_blocks(blocks);
        }
        (KeySize::Aes256, false) => {
            Decryptor::<Aes256Dec>::new(&key.raw::<32>().into(), &iv).decrypt_blocks(blocks);
        }
    }
}
