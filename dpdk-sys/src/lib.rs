//! Names of DPDK, bound against the version that is installed (22.11 LTS or newer).
//!
//! Nothing here is safe or convenient; that is `hal::dpdk`. What DPDK keeps in headers as static
//! inline functions comes through `shim.c`, for a whole burst a call, under the prefix `qfp_`.
//! Bursts themselves need no shim: they go through `rte_eth_fp_ops`.
//!
//! Fields of `struct rte_mbuf` change their nesting between releases, so the structure is opaque
//! and `shim.h` gives the byte offsets (`QFP_MBUF_*`) the linked version has.
//!
//! Without feature `link` the crate is empty.

#![deny(unsafe_code)]

#[cfg(feature = "link")]
mod bindings {
    #![allow(
        missing_docs,
        unsafe_code,
        unsafe_op_in_unsafe_fn,
        non_camel_case_types,
        non_snake_case,
        non_upper_case_globals,
        clippy::all,
        clippy::cast_possible_truncation,
        clippy::undocumented_unsafe_blocks,
        reason = "generated from DPDK's headers; which of these occur depends on its version"
    )]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

#[cfg(feature = "link")]
pub use bindings::*;
