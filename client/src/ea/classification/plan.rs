//! Objects and tables of a generation to come.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Release;

use driver::{Driver, DriverError};
use pal::pool::Full;
use pal::region::{Draft, Plain};
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{Binding, Bindings, Feature, Memory, NO_MATCH, Pattern, Place, Rule};
use qfp_core::ipsec::SpdEntry;
use qfp_core::pbr::PbrAction;
use qfp_core::uidb::{TableId, UidbIndex};

use super::action::action;
use super::names::{CounterName, ObjectName, names, packed, present};
use super::object::{Compiled, Rules};
use super::patterns::Addresses;
use super::rules::{self, RuleError};
use super::security::Policies;
use super::{ClassificationAgent, ClassificationError, ClassificationPlan, Drafts, Object, Source};
use crate::acl::{AccessList, Family};
use crate::config::{Config, Interface, Interfaces, Place as ConfigPlace};
use crate::mqc;
use crate::pbr;

/// Rows that results of rules name, by number.
#[derive(Default)]
struct Rows {
    actions: BTreeMap<u32, PbrAction>,
    security: BTreeMap<u32, SpdEntry>,
}

/// Where the configuration binds the first interface to what `name` stands for. `wanted` has what each
/// of `interfaces` is bound to.
fn place_of(
    interfaces: &Interfaces<'_>,
    wanted: &[(UidbIndex, [Option<ObjectName>; 4])],
    name: &ObjectName,
) -> ConfigPlace {
    let bound = interfaces.all().iter().zip(wanted).find_map(|(interface, (_, names))| {
        let side = names.iter().position(|one| one.as_ref() == Some(name))?;
        Some((interface.origin(), side < 2))
    });
    let Some((origin, inward)) = bound else { return ConfigPlace::default() };
    origin.at(match (&name.service, &name.list, &name.policy) {
        (Some(_), ..) if inward => "service_policy_in",
        (Some(_), ..) => "service_policy_out",
        (_, Some(_), _) if inward => "acl_in",
        (_, Some(_), _) => "acl_out",
        _ => "policy_route",
    })
}

/// A table with these rows, and zeroes between them.
fn table_of<T: Plain>(driver: &Driver, rows: BTreeMap<u32, T>) -> Result<Draft<T>, DriverError> {
    let last = rows.last_key_value().map_or(0, |(row, _)| *row as usize + 1);
    let mut table = driver.alloc::<T>(last.max(1))?;
    for (row, value) in rows {
        table[row as usize] = value;
    }
    Ok(table)
}

impl ClassificationAgent {
    /// Compiles what `config` binds to interfaces, where no lcore sees it.
    pub(crate) fn prepare(
        &mut self,
        driver: &Driver,
        (config, interfaces): (&Config, &Interfaces<'_>),
        uidb: impl Fn(&Interface<'_>) -> UidbIndex,
        high_water: usize,
        table: impl Fn(&str) -> Option<TableId>,
        plan: &mut ClassificationPlan,
    ) -> Result<(), ClassificationError> {
        let mut wanted: Vec<(UidbIndex, [Option<ObjectName>; 4])> = Vec::new();
        for interface in interfaces.all() {
            wanted.push((uidb(interface), names(config, interface, self.has_flows())));
        }
        self.services.prepare(driver, config, interfaces, &uidb, &mut plan.services)?;
        let policies = Policies::of(config, interfaces, &uidb);
        let config = (config, &policies);
        for name in wanted.iter().flat_map(|(_, names)| names).flatten() {
            *plan.used.entry(name.clone()).or_default() += 1;
        }
        let mut numbers: HashMap<&ObjectName, u32> = HashMap::new();
        let mut rows = Rows::default();
        let used: Vec<(ObjectName, usize)> =
            plan.used.iter().map(|(name, count)| (name.clone(), *count)).collect();
        for (name, bindings) in &used {
            let from = Source::of(name, &config.0.access_lists);
            if let (Some(now), Some(object)) = (&from, self.objects.get(name))
                && object.from.as_ref() == Some(now)
            {
                numbers.insert(name, object.number);
                let list = (name.family, now.list.name().to_string());
                plan.same.insert(list, object.compiled.rules());
                continue;
            }
            let at = |error: ClassificationError| error.bound(place_of(interfaces, &wanted, name));
            let rules = self.rules(config, name, &table, plan, &mut rows).map_err(at)?;
            if let Some(object) = self.objects.get(name).filter(|o| o.compiled.holds(&rules)) {
                numbers.insert(name, object.number);
                plan.sources.push((name.clone(), from));
                continue;
            }
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            let compiled = Compiled::build(&mut memory, rules).map_err(|error| {
                at(ClassificationError::Classifier { what: name.to_string(), error })
            })?;
            let number = match self.numbers.alloc() {
                Ok(number) => number,
                Err(error) => {
                    compiled.retire(&mut memory);
                    return Err(error.into());
                }
            };
            self.point(driver, number, compiled.line());
            numbers.insert(name, number);
            let object = Object { number, compiled, bindings: *bindings, from };
            plan.fresh.push((name.clone(), object));
        }
        let mut bindings = driver.alloc::<Bindings>(high_water.max(1))?;
        for (uidb, names) in &wanted {
            let binding = |name: &Option<ObjectName>| {
                let Some(name) = name else { return Binding::default() };
                let object = numbers.get(name).copied().unwrap_or(0);
                Binding { object, features: present(name) }
            };
            let [in4, in6, out4, out6] = names.each_ref().map(binding);
            if let Some(row) = bindings.get_mut(usize::from(uidb.0)) {
                let bases = plan.services.bases.get(uidb).copied().unwrap_or_default();
                let (classes_in, classes_out) = bases;
                *row = Bindings { in4, in6, out4, out6, classes_in, classes_out };
            }
        }
        let actions = table_of(driver, rows.actions)?;
        let security = table_of(driver, rows.security)?;
        plan.drafts = Some(Drafts { bindings, actions, security });
        Ok(())
    }

    /// Points an object's number to its line; lcores that know the number follow at once.
    pub(super) fn point(&self, driver: &Driver, number: u32, line: u32) {
        if let Some(head) = driver.view(self.heads).get(number as usize - 1) {
            // Whatever the line refers to comes before it.
            pal::faults::store();
            head.store(line, Release);
        }
    }

    /// The rules of an object, and the rows of its policy's actions.
    fn rules(
        &mut self,
        config: (&Config, &Policies<'_>),
        name: &ObjectName,
        table: &impl Fn(&str) -> Option<TableId>,
        plan: &mut ClassificationPlan,
        rows: &mut Rows,
    ) -> Result<Rules, ClassificationError> {
        match name.family {
            Family::V4 => self.rules_of::<WORDS4>(config, name, table, plan, rows).map(Rules::V4),
            Family::V6 => self.rules_of::<WORDS6>(config, name, table, plan, rows).map(Rules::V6),
        }
    }

    fn rules_of<const W: usize>(
        &mut self,
        (config, policies): (&Config, &Policies<'_>),
        name: &ObjectName,
        table: &impl Fn(&str) -> Option<TableId>,
        plan: &mut ClassificationPlan,
        rows: &mut Rows,
    ) -> Result<Vec<(Place, Rule<W>)>, ClassificationError>
    where
        Pattern<W>: Addresses,
    {
        let mut all = Vec::new();
        let lists = &config.access_lists;
        if let Some(list) = &name.list {
            let list =
                lists.list(name.family, list).ok_or_else(|| RuleError::NoList(list.clone()))?;
            let rules = rules::of_list::<W>(list, &lists.objects)?;
            for (rule, ..) in &rules {
                let counter = CounterName::Ace(name.family, list.name().to_string(), *rule);
                self.number(counter, plan)?;
            }
            let number = |rule| {
                let counter = CounterName::Ace(name.family, list.name().to_string(), rule);
                self.counters.get(&counter).copied().unwrap_or(u32::MAX)
            };
            all.extend(rules::numbered(rules, number));
        }
        // Flow specifications come before the operator's own policy (ING-06).
        let mut rules: Vec<pbr::Rule> = Vec::new();
        if name.flows {
            rules.extend_from_slice(&self.flows[usize::from(name.family == Family::V6)]);
        }
        let policy = name.policy.as_deref().unwrap_or_default();
        if name.policy.is_some() {
            let Some(map) = config.route_maps.get(policy) else {
                return Err(RuleError::NoList(policy.to_owned()).into());
            };
            rules.extend(map.rules(name.family));
        }
        let mut numbers = Vec::with_capacity(rules.len());
        for rule in &rules {
            let counter = CounterName::Policy(name.family, policy.to_owned(), rule.key);
            let row = self.number(counter, plan)?;
            rows.actions.insert(row, action(policy, rule, row, table)?);
            numbers.push(row);
        }
        let patterns = rules::of_policy::<W>(policy, &rules, lists, name.family)?;
        for (sequence, (pattern, outcome)) in (1..).zip(patterns) {
            let result = outcome.and_then(|n| numbers.get(n).copied()).unwrap_or(NO_MATCH);
            let place = Place { feature: Feature::Pbr as u8, sequence };
            all.push((place, Rule { result, patterns: vec![pattern] }));
        }
        if let Some(service) = &name.service {
            let rules_of = |list: &AccessList| rules::patterns_of::<W>(list, &lists.objects);
            let rules = mqc::compile::<W, RuleError>(
                &config.policies,
                service,
                name.family,
                lists,
                rules_of,
            )
            .map_err(Box::new)?;
            for (sequence, (pattern, class)) in (1..).zip(rules) {
                let place = Place { feature: Feature::Qos as u8, sequence };
                all.push((place, Rule { result: class, patterns: vec![pattern] }));
            }
        }
        if let Some((interface, direction)) = &name.security {
            let rules = policies.rules::<W>(interface, *direction);
            for (sequence, (counted, pattern)) in (1..).zip(rules) {
                let result = match counted {
                    None => NO_MATCH,
                    Some((rule, act)) => {
                        let row = self.number(CounterName::Security(rule), plan)?;
                        rows.security.insert(row, SpdEntry::new(row, act));
                        row
                    }
                };
                let place = Place { feature: Feature::Spd as u8, sequence };
                all.push((place, Rule { result, patterns: vec![pattern] }));
            }
        }
        all.iter_mut().for_each(|(place, _): &mut (Place, _)| *place = packed(name, *place));
        Ok(all)
    }

    /// The number of a rule's counters, a new one if it has none.
    fn number(&mut self, name: CounterName, plan: &mut ClassificationPlan) -> Result<u32, Full> {
        plan.counters_used.insert(name.clone());
        if let Some(number) = self.counters.get(&name) {
            return Ok(*number);
        }
        let (number, is_kept) = self.take_counter(&name)?;
        self.counters.insert(name.clone(), number);
        if !is_kept {
            plan.counters.push(name);
        }
        Ok(number)
    }
}
