//! IPv4 tables. Keys are addresses in host byte order.

mod compact;
mod dir24;
mod dir24_writer;
mod simd;

pub use compact::{Compact, CompactWriter};
pub use dir24::Dir24;
pub use dir24_writer::Dir24Writer;
