//! Every view against a slow and obvious table.

mod limits;
mod oracle;
mod properties;
mod readers;
mod tables;
