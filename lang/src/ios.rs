//! Command-line text of IOS, IOS XE and IOS XR: lines, words, and where they stand.
//!
//! What the text means is for its parsers (access lists, route maps, policies); here is what they
//! share: [`lines`] cuts text into [`Line`]s of [`Word`]s, a [`Cursor`] walks the words of one
//! line, every refusal is a [`TextError`] with line and column, and [`names`] are the words that
//! stand for numbers.
//!
//! Keywords may be in any case and are not abbreviated. A line whose first word starts with `!`
//! is a comment; a later word that starts with `!` ends the line for a parser, but belongs to
//! text that is taken whole (a remark, a description).
//!
//! ```
//! use lang::ios::{Cursor, TextError, lines};
//!
//! fn vlan(text: &str) -> Result<u16, TextError> {
//!     let mut vlan = 0;
//!     for line in lines(text) {
//!         let mut words = line.cursor();
//!         words.expect("vlan")?;
//!         vlan = words.number("a VLAN", 1..=4094)?;
//!         words.end()?;
//!     }
//!     Ok(vlan)
//! }
//! assert_eq!(vlan("! comment\nvlan 7").unwrap(), 7);
//! let refused = vlan("\n vlan 4095").unwrap_err().to_string();
//! assert_eq!(refused, "line 2, column 7: expected a VLAN (1 to 4094), found \"4095\"");
//! ```

mod cursor;
mod description;
mod error;
mod lines;
pub mod names;
#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use description::{Description, NotDescription};
pub use error::{TextError, What};
pub use lines::{Line, Word, lines, utf8};
