//! Classification: the software TCAM, its keys, and the rows that look packets up in it.
//!
//! A [`Classifier`] holds the rules of one bind point (interface, direction, family), those of all
//! features that are bound there, and compiles them into one object. One lookup of a [`Tcam`] finds
//! the first match of every feature (ING-02 to ING-06): the [`Keys`] of a vector go down at most
//! three shallow trees, each to a leaf of some 16 rules that are compared at once.
//!
//! `docs/adr/0007-classification.md` says how this form was found.

mod bind;
mod build;
mod classifier;
mod divide;
mod draft;
mod edit;
mod header;
mod image;
pub mod key;
mod leaf;
mod lookup;
mod pattern;
mod shadow;
mod simd;
mod space;
mod stage;

#[cfg(test)]
mod tests;

pub use bind::{AclResult, AclTables, Binding, Bindings, Feature};
pub use classifier::{
    Change, Classifier, ClassifierError, FEATURES, Memory, Place, Prepared, Rule,
};
pub use edit::Nodes;
pub use image::Line;
pub use key::{Keys, Keys4, Keys6};
pub use lookup::{Matches, NO_MATCH, Tcam};
pub use pattern::{Pattern, Pattern4, Pattern6};
pub use space::Space;
pub use stage::{AclAct, Classify, first_match};
