//! Who of DPDK takes part: nobody, aloud, when it is not built in or does not start.

use crate::race::Contestant;
use crate::set::{Family, Rule};

/// How peers are made.
pub(crate) struct Peers {
    #[cfg(feature = "dpdk")]
    dpdk: Option<crate::peers::Dpdk>,
}

impl Peers {
    /// Nobody.
    #[cfg(not(feature = "dpdk"))]
    pub(crate) fn start(_large: bool) -> Self {
        eprintln!(
            "THE PEERS ARE MISSING: with `--features dpdk` DPDK's classifier is measured too"
        );
        Self {}
    }

    /// Starts DPDK; with `large` it has room for large sets.
    #[cfg(feature = "dpdk")]
    pub(crate) fn start(large: bool) -> Self {
        let dpdk = crate::peers::Dpdk::start(large);
        if let Err(error) = &dpdk {
            eprintln!("THE PEERS ARE MISSING: {error}");
        }
        Self { dpdk: dpdk.ok() }
    }

    /// Peers for one list, the measure first.
    #[cfg(not(feature = "dpdk"))]
    pub(crate) fn one(&self, _: Family, _: &[Rule]) -> Vec<Box<dyn Contestant>> {
        Vec::new()
    }

    /// Peers for one list, the measure first.
    #[cfg(feature = "dpdk")]
    pub(crate) fn one(&self, family: Family, rules: &[Rule]) -> Vec<Box<dyn Contestant>> {
        use crate::peers::{RteAcl, Size};
        let mut all: Vec<Box<dyn Contestant>> = Vec::new();
        if let Some(table) = self.table(family, &[rules], Size::Default) {
            all.push(Box::new(RteAcl::avx512("rte_acl avx512x32", vec![table.clone()], 1)));
            all.push(Box::new(RteAcl::avx2("rte_acl default", vec![table], 1)));
        }
        // Longer lists gain nothing by it, and take ten seconds to build.
        const ROOMY: usize = 5_000;
        if rules.len() < ROOMY
            && let Some(table) = self.table(family, &[rules], Size::Roomy)
        {
            all.push(Box::new(RteAcl::avx512("rte_acl avx512x32 roomy", vec![table], 1)));
        }
        all
    }

    /// Peers for several lists at once, the measure first: a call for each, and all in one.
    #[cfg(not(feature = "dpdk"))]
    pub(crate) fn several(&self, _: Family, _: &[&[Rule]]) -> Vec<Box<dyn Contestant>> {
        Vec::new()
    }

    /// Peers for several lists at once, the measure first: a call for each, and all in one.
    #[cfg(feature = "dpdk")]
    pub(crate) fn several(&self, family: Family, lists: &[&[Rule]]) -> Vec<Box<dyn Contestant>> {
        use crate::peers::{RteAcl, Size};
        let mut all: Vec<Box<dyn Contestant>> = Vec::new();
        let tables = lists.iter().map(|list| self.table(family, &[list], Size::Default));
        if let Some(tables) = tables.collect::<Option<Vec<_>>>() {
            all.push(Box::new(RteAcl::avx512("rte_acl avx512x32 calls", tables, lists.len())));
        }
        if let Some(table) = self.table(family, lists, Size::Default) {
            let name = "rte_acl avx512x32 categories";
            all.push(Box::new(RteAcl::avx512(name, vec![table], lists.len())));
        }
        all
    }

    /// A table, or none, aloud.
    #[cfg(feature = "dpdk")]
    fn table(
        &self,
        family: Family,
        lists: &[&[Rule]],
        size: crate::peers::Size,
    ) -> Option<std::rc::Rc<crate::peers::Table>> {
        match crate::peers::Table::new(self.dpdk.as_ref()?, family, lists, size) {
            Ok(table) => Some(table.into()),
            Err(error) => {
                eprintln!("no peer ({size:?}): {error}");
                None
            }
        }
    }
}
