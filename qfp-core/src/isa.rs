//! Which vector instructions the kernels may use.

pub use crate::fib::Isa;
