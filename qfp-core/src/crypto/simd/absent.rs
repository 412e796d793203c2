//! On other processors there are no tokens, so nothing here is ever called.

use super::{Block, Chain, Message};
use crate::crypto::algorithm::KeySize;
use crate::crypto::key::SaKey;

/// Not on this processor.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto) enum AesNi {}

/// Not on this processor.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto) enum Vaes512 {}

impl AesNi {
    pub(in crate::crypto) const fn detect() -> Option<Self> {
        None
    }

    pub(in crate::crypto) fn expand(self, _: KeySize, _: &mut SaKey) {
        match self {}
    }

    pub(in crate::crypto) fn hash_powers(self, _: KeySize, _: &mut SaKey) {
        match self {}
    }

    pub(in crate::crypto) fn invert(self, _: KeySize, _: &mut SaKey) {
        match self {}
    }

    pub(in crate::crypto) fn gcm<const SEAL: bool>(self, _: KeySize, _: Message<'_>) -> u128 {
        match self {}
    }

    pub(in crate::crypto) fn cbc<'a, const SEAL: bool>(
        self,
        _: KeySize,
        _: impl Iterator<Item = Chain<'a>>,
    ) {
        match self {}
    }

    pub(in crate::crypto) fn ghash(self, _: &SaKey, _: Block, _: &[u8]) -> Block {
        match self {}
    }
}

impl Vaes512 {
    pub(in crate::crypto) const fn aes_ni(self) -> AesNi {
        match self {}
    }

    pub(in crate::crypto) const LOCKSTEP: usize = 0;

    pub(in crate::crypto) const fn detect() -> Option<Self> {
        None
    }

    pub(in crate::crypto) fn gcm<const SEAL: bool>(self, _: KeySize, _: Message<'_>) -> u128 {
        match self {}
    }

    pub(in crate::crypto) fn gcm_all<'a, const SEAL: bool>(
        self,
        _: KeySize,
        _: impl Iterator<Item = (usize, Message<'a>)>,
        _: impl FnMut(usize, u128),
    ) {
        match self {}
    }

    pub(in crate::crypto) fn gcm4<const SEAL: bool>(
        self,
        _: KeySize,
        _: [Message<'_>; 4],
    ) -> [u128; 4] {
        match self {}
    }

    pub(in crate::crypto) fn ghash(self, _: &SaKey, _: Block, _: &[u8]) -> Block {
        match self {}
    }

    pub(in crate::crypto) fn prefetch(self, _: &SaKey, _: usize) {
        match self {}
    }
}
